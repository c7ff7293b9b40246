//! A key that verifies signatures, tied to the one algorithm it is for.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};

/// One verifying key.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// A shared secret, for HS256.
    pub(super) fn shared(secret: &str) -> Self {
        Self {
            id: None,
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret.as_bytes()),
        }
    }

    /// A public key in PEM: Ed25519, RSA (RS256) or P-256 (ES256). `None` for anything else.
    pub(super) fn public(pem: &str) -> Option<Self> {
        let pem = pem.as_bytes();
        let ed = || Some((Algorithm::EdDSA, DecodingKey::from_ed_pem(pem).ok()?));
        let rsa = || Some((Algorithm::RS256, DecodingKey::from_rsa_pem(pem).ok()?));
        let ec = || Some((Algorithm::ES256, DecodingKey::from_ec_pem(pem).ok()?));
        let (algorithm, decoding) = ed().or_else(rsa).or_else(ec)?;
        Some(Self {
            id: None,
            algorithm,
            decoding,
        })
    }

    /// A key of a fetched set. `None` for shared secrets, which have no business in a public set,
    /// for keys that encrypt, and for what is not supported.
    pub(super) fn of_set(jwk: &Jwk) -> Option<Self> {
        use jsonwebtoken::jwk::PublicKeyUse;
        if matches!(&jwk.common.public_key_use, Some(purpose) if *purpose != PublicKeyUse::Signature)
        {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::RSA(_) => match jwk.common.key_algorithm {
                None | Some(KeyAlgorithm::RS256) => Algorithm::RS256,
                Some(KeyAlgorithm::RS384) => Algorithm::RS384,
                Some(KeyAlgorithm::RS512) => Algorithm::RS512,
                Some(KeyAlgorithm::PS256) => Algorithm::PS256,
                Some(_) => return None,
            },
            _ => return None,
        };
        Some(Self {
            id: jwk.common.key_id.clone(),
            algorithm,
            decoding: DecodingKey::from_jwk(jwk).ok()?,
        })
    }

    /// True when a token that names `id` (or names none) may be signed with this key.
    pub(super) fn is_named(&self, id: Option<&str>) -> bool {
        match (id, &self.id) {
            (Some(wanted), Some(id)) => wanted == id,
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
