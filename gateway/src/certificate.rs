//! The data port's certificate: read from its files, judged, and read again when they change.
//!
//! Invariant: what is in force was judged whole: the key belongs to the certificate, and the
//! certificate was within its time when it was taken. A pair that is not leaves the one before in
//! force.

mod watch;

pub(crate) use watch::follow;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, version};
use x509_cert::der::Decode;

use crate::config::Tls;

/// A chain with its key takes a few KiB; what is larger is another file.
const MAX_FILE: u64 = 1024 * 1024;

/// The protocols that are offered, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What handshakes are made with, exchanged as a whole when the files change.
#[derive(Debug)]
pub(crate) struct Certificate {
    settings: Tls,
    in_force: ArcSwap<Pair>,
}

/// A certificate and its key.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) server: Arc<ServerConfig>,
    /// When the certificate's time is over, since 1970.
    pub(crate) expires: Duration,
    texts: Texts,
}

/// What a pair was made of.
#[derive(Clone, PartialEq, Eq)]
struct Texts {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// Why there is no pair in two files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub struct CertificateError {
    /// Which of the two settings names the file.
    pub setting: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl Certificate {
    /// Reads the pair.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn load(settings: &Tls) -> Result<Self, CertificateError> {
        let pair = Pair::new(settings, Texts::read(settings)?, since_epoch())?;
        Ok(Self {
            settings: settings.clone(),
            in_force: ArcSwap::from_pointee(pair),
        })
    }

    /// What new connections get.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.in_force.load().server)
    }

    /// When the certificate that is in force ends, in seconds since 1970.
    pub(crate) fn expires(&self) -> i64 {
        i64::try_from(self.in_force.load().expires.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Whether the files hold a pair that could be served with now.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn check(settings: &Tls) -> Result<(), CertificateError> {
    Certificate::load(settings).map(|_| ())
}

impl Texts {
    fn read(settings: &Tls) -> Result<Self, CertificateError> {
        Ok(Self {
            cert: read("cert", &settings.cert)?,
            key: read("key", &settings.key)?,
        })
    }
}

impl Pair {
    fn new(settings: &Tls, texts: Texts, now: Duration) -> Result<Self, CertificateError> {
        let wrong = |setting, what: String| CertificateError {
            setting,
            file: match setting {
                "key" => settings.key.clone(),
                _ => settings.cert.clone(),
            },
            what,
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&texts.cert)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong("cert", format!("is no certificate in PEM: {error}")))?;
        let first = chain
            .first()
            .ok_or_else(|| wrong("cert", "holds no certificate in PEM".to_owned()))?;
        let expires = expiry(first, now).map_err(|what| wrong("cert", what))?;
        let key = PrivateKeyDer::from_pem_slice(&texts.key)
            .map_err(|error| wrong("key", format!("holds no private key in PEM: {error}")))?;
        let versions = [&version::TLS13, &version::TLS12];
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&versions)
            .map_err(|error| wrong("cert", error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    let cert = settings.cert.display();
                    wrong(
                        "key",
                        format!("is not the key of the certificate in {cert}"),
                    )
                }
                error => wrong("cert", format!("cannot be served with: {error}")),
            })?;
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Resumption by tickets: nothing is kept here for clients that never come back.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.ticketer = ring::Ticketer::new()
            .map_err(|error| wrong("cert", format!("no ticket key could be made: {error}")))?;
        Ok(Self {
            server: Arc::new(server),
            expires,
            texts,
        })
    }
}

/// The bytes of a file that a setting names.
///
/// # Errors
/// When it cannot be read, or is no such file by its size.
pub(crate) fn read(setting: &'static str, file: &Path) -> Result<Vec<u8>, CertificateError> {
    let wrong = |what: String| CertificateError {
        setting,
        file: file.to_owned(),
        what,
    };
    let size = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
    if size.len() > MAX_FILE {
        return Err(wrong("is larger than 1 MiB".to_owned()));
    }
    std::fs::read(file).map_err(|error| wrong(error.to_string()))
}

/// When the certificate's time is over, if it has begun and is not.
fn expiry(certificate: &CertificateDer<'_>, now: Duration) -> Result<Duration, String> {
    // Real certificates break the profile in ways that do not matter here.
    type Lenient = x509_cert::certificate::CertificateInner<x509_cert::certificate::Raw>;
    let parsed = Lenient::from_der(certificate)
        .map_err(|error| format!("is no X.509 certificate: {error}"))?;
    let validity = parsed.tbs_certificate().validity();
    if now < validity.not_before.to_unix_duration() {
        return Err(format!("is not valid before {}", validity.not_before));
    }
    let expires = validity.not_after.to_unix_duration();
    if now > expires {
        return Err(format!("expired at {}", validity.not_after));
    }
    Ok(expires)
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Not the key.
impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}
