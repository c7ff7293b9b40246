//! The key that access tokens are signed with: one Ed25519 key in a file that auth and legacy
//! share, so that a token of either is good at both.
//!
//! Invariant: the file is complete or absent. It is written under another name and then linked to
//! its own, which fails when somebody else was first; so two processes that start together end up
//! with one key.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

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
use thiserror::Error;
use uuid::Uuid;

/// Only the owner reads or writes the key.
const FILE_MODE: u32 = 0o600;

/// A key pair that signs access tokens.
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    header: Header,
    public: Jwk,
}

/// Why there is no key to sign with.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file or its folder cannot be read or written.
    #[error("the key file {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds no Ed25519 key in PKCS#8 PEM.
    #[error("the key file {path} holds no Ed25519 key in PKCS#8 PEM: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key or a token could not be put into its wire form.
    #[error("signing: {0}")]
    Signing(String),
}

impl SigningKey {
    /// The key in the file at `path`; makes it, and its folder, when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, written or understood.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File {
            path: path.to_owned(),
            source,
        };
        match fs::read_to_string(path) {
            Ok(pem) => {
                warn_of_readers(path);
                return Self::from_pem(path, &pem);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let pem = new_pem()?;
        match publish(path, &pem) {
            Ok(()) => tracing::info!(path = %path.display(), "made a new signing key"),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        Self::from_pem(path, &fs::read_to_string(path).map_err(failed)?)
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

    /// The public key, for whoever verifies: `GET /.well-known/jwks.json` (RFC 7517, RFC 8037).
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        JwkSet {
            keys: vec![self.public.clone()],
        }
    }

    fn from_pem(path: &Path, pem: &str) -> Result<Self, KeyError> {
        let key =
            ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|error| KeyError::Content {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        let der = key
            .to_pkcs8_der()
            .map_err(|error| KeyError::Signing(error.to_string()))?;
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
            .map_err(|error| KeyError::Signing(error.to_string()))?;
        public.common.key_id = Some(id.clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id);
        Ok(Self {
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            header,
            public,
        })
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

fn new_pem() -> Result<String, KeyError> {
    let key = ed25519_dalek::SigningKey::from_bytes(&rand::random::<[u8; 32]>());
    let pem = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| KeyError::Signing(error.to_string()))?;
    Ok(pem.to_string())
}

/// Makes the file appear with its whole content, or not at all.
fn publish(path: &Path, pem: &str) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".signing-key-{}", Uuid::new_v4().simple()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&draft)?;
    let written = file
        .write_all(pem.as_bytes())
        .and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    linked?;
    // The name itself must survive a power cut, or tokens outlive the key that signed them.
    fs::File::open(folder)?.sync_all()
}

/// A key that others can read still works, for platforms that mount secrets group-readable, but
/// nobody should find that out by accident.
fn warn_of_readers(path: &Path) {
    if let Ok(file) = fs::metadata(path)
        && file.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "others than the owner may read the signing key");
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use time::OffsetDateTime;

    use super::*;
    use crate::domain::User;

    fn path() -> (testkit::TempDir, PathBuf) {
        let folder = testkit::temp_dir();
        let path = folder.path().join("keys/signing.pem");
        (folder, path)
    }

    #[test]
    fn the_key_is_made_once_and_found_again() {
        let (_folder, path) = path();
        let made = SigningKey::load_or_create(&path).unwrap();
        let found = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(made.jwks(), found.jwks());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no draft stays behind");
    }

    #[test]
    fn processes_that_start_together_end_up_with_one_key() {
        let (_folder, path) = path();
        let load = || SigningKey::load_or_create(&path).unwrap().id().to_owned();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_signed_token_is_verified_by_the_published_key() {
        let (_folder, path) = path();
        let key = SigningKey::load_or_create(&path).unwrap();
        let claims = User::guest(Uuid::from_u128(3)).claims(OffsetDateTime::now_utc(), Uuid::nil());
        let token = key.sign(&claims).unwrap();
        let jwks = key.jwks();
        let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        let public = DecodingKey::from_jwk(jwks.find(&kid).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[Claims::AUDIENCE]);
        assert_eq!(
            decode::<Claims>(&token, &public, &validation)
                .unwrap()
                .claims,
            claims
        );
    }

    #[test]
    fn a_file_that_holds_no_key_is_named_and_left_alone() {
        let (_folder, path) = path();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "not a key").unwrap();
        let error = SigningKey::load_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("signing.pem"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
    }
}
