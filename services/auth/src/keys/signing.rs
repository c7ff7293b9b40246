//! One Ed25519 key pair: what signs tokens, and what is published of it.

use std::path::Path;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use contracts::Claims;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding,
};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm,
        OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse, ThumbprintHash,
    },
};
use time::OffsetDateTime;

use super::{KeyError, file};

/// A key pair that signs access tokens.
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    header: Header,
    public: Jwk,
    pem: String,
}

impl SigningKey {
    /// The key that signs now, of the set in the file at `path`; makes the file, and its folder,
    /// when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, written or understood.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let (set, _) = file::load_or_create(path)?;
        Ok(set.signer(OffsetDateTime::now_utc()).clone())
    }

    /// A key that nobody has seen.
    ///
    /// # Errors
    /// When it cannot be put into its wire form; never in practice.
    pub fn random() -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(&rand::random::<[u8; 32]>());
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| KeyError::Signing(error.to_string()))?;
        Self::from_pem(&pem).map_err(KeyError::Signing)
    }

    /// The signed token that says `claims`.
    ///
    /// # Errors
    /// When the claims cannot be written as JSON; never in practice.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        jsonwebtoken::encode(&self.header, claims, &self.encoding)
            .map_err(|error| KeyError::Signing(error.to_string()))
    }

    /// The key's id in token headers: its thumbprint (RFC 7638).
    #[must_use]
    pub fn id(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }

    /// The public key, for whoever verifies (RFC 7517, RFC 8037).
    #[must_use]
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// A key set of this key alone.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        JwkSet {
            keys: vec![self.public.clone()],
        }
    }

    /// Reads a PKCS#8 PEM block; says what is wrong with it.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        let key =
            ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|error| error.to_string())?;
        let der = key.to_pkcs8_der().map_err(|error| error.to_string())?;
        let parameters = OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x: URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
        };
        let common = CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(KeyAlgorithm::EdDSA),
            ..CommonParameters::default()
        };
        let mut public = Jwk {
            common,
            algorithm: AlgorithmParameters::OctetKeyPair(parameters),
        };
        let id = public
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|error| error.to_string())?;
        public.common.key_id = Some(id.clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id);
        Ok(Self {
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            header,
            public,
            pem: pem.to_owned(),
        })
    }

    /// The private key as it stands in the file.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
