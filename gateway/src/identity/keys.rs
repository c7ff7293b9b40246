//! A key that verifies signatures, tied to the one algorithm it is for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

/// One verifying key.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

/// RFC 7518 §3.3: an RSA key has 2048 bits or more.
const MIN_RSA_BYTES: usize = 256;
/// The length of an uncompressed point on P-256 and on P-384.
const P256_POINT: usize = 65;
const P384_POINT: usize = 97;

impl Key {
    /// A shared secret, for HS256 unless it is said to be for another of its kind. `None` when that
    /// is not of its kind.
    pub(super) fn shared(secret: &str, wanted: Option<Algorithm>) -> Option<Self> {
        let algorithm = wanted.unwrap_or(Algorithm::HS256);
        (algorithm.family() == AlgorithmFamily::Hmac).then(|| Self {
            id: None,
            algorithm,
            decoding: DecodingKey::from_secret(secret.as_bytes()),
        })
    }

    /// A public key in PEM: Ed25519, P-256 (ES256), P-384 (ES384) or RSA (RS256, unless it is said
    /// to be for another of its kind). `None` for anything else.
    pub(super) fn public(pem: &str, wanted: Option<Algorithm>) -> Option<Self> {
        let pem = pem.as_bytes();
        let ed = || Some((Algorithm::EdDSA, DecodingKey::from_ed_pem(pem).ok()?));
        let rsa = || {
            let key = DecodingKey::from_rsa_pem(pem).ok()?;
            let is_strong = key.try_get_as_bytes().ok()?.len() >= MIN_RSA_BYTES;
            is_strong.then_some((of_rsa(wanted), key))
        };
        let ec = || {
            let key = DecodingKey::from_ec_pem(pem).ok()?;
            let algorithm = match key.try_get_as_bytes().ok()?.len() {
                P256_POINT => Algorithm::ES256,
                P384_POINT => Algorithm::ES384,
                _ => return None,
            };
            Some((algorithm, key))
        };
        let (algorithm, decoding) = ed().or_else(rsa).or_else(ec)?;
        wanted
            .is_none_or(|wanted| wanted == algorithm)
            .then_some(Self {
                id: None,
                algorithm,
                decoding,
            })
    }

    /// A key of a fetched set; `wanted` is what RSA keys that name no algorithm are for. `None` for
    /// shared secrets, which have no business in a public set, for keys that are for something else
    /// than verifying, and for what is weak or not supported.
    pub(super) fn of_set(jwk: &Jwk, wanted: Option<Algorithm>) -> Option<Self> {
        let common = &jwk.common;
        if matches!(&common.public_key_use, Some(purpose) if *purpose != PublicKeyUse::Signature) {
            return None;
        }
        if matches!(&common.key_operations, Some(all) if !all.contains(&KeyOperations::Verify)) {
            return None;
        }
        let named = common.key_algorithm;
        let is_named = |known: &[KeyAlgorithm]| named.is_none_or(|named| known.contains(&named));
        let algorithm = match &jwk.algorithm {
            // RFC 9864 says `Ed25519` where others say `EdDSA`; the library does not know it yet.
            AlgorithmParameters::OctetKeyPair(pair)
                if pair.curve == EllipticCurve::Ed25519
                    && is_named(&[KeyAlgorithm::EdDSA, KeyAlgorithm::UNKNOWN_ALGORITHM]) =>
            {
                Algorithm::EdDSA
            }
            AlgorithmParameters::EllipticCurve(key)
                if key.curve == EllipticCurve::P256 && is_named(&[KeyAlgorithm::ES256]) =>
            {
                Algorithm::ES256
            }
            AlgorithmParameters::EllipticCurve(key)
                if key.curve == EllipticCurve::P384 && is_named(&[KeyAlgorithm::ES384]) =>
            {
                Algorithm::ES384
            }
            AlgorithmParameters::RSA(key) if is_strong(&key.n) => match named {
                None => of_rsa(wanted),
                Some(named) => Algorithm::try_from(named)
                    .ok()
                    .filter(|named| named.family() == AlgorithmFamily::Rsa)?,
            },
            _ => return None,
        };
        Some(Self {
            id: common.key_id.clone(),
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

fn is_strong(modulus: &str) -> bool {
    let modulus = URL_SAFE_NO_PAD.decode(modulus);
    modulus.is_ok_and(|modulus| modulus.len() >= MIN_RSA_BYTES)
}

fn of_rsa(wanted: Option<Algorithm>) -> Algorithm {
    wanted
        .filter(|wanted| wanted.family() == AlgorithmFamily::Rsa)
        .unwrap_or(Algorithm::RS256)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
