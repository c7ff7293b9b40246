//! Whom the gateway takes an upstream for, when it reaches it by TLS.
//!
//! Invariant: there is no connection without a certificate that leads to a trusted authority and
//! bears the endpoint's name. Nothing switches that off. New files are taken over as a whole, or not at
//! all.

mod rotated;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::UpstreamTls;
use crate::{certificate, rotation};

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustError {
    /// The setting that names it.
    pub(crate) key: &'static str,
    pub(crate) reason: String,
}

/// Which versions of HTTP are offered in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2, or HTTP/1.1.
    Both,
}

/// Makes the TLS connections of one upstream. Its copies all follow the files.
#[derive(Clone)]
pub(super) struct Tls(Arc<Held>);

/// What is known of an upstream's certificates.
struct Held {
    settings: UpstreamTls,
    offer: Offer,
    trusting: ArcSwap<Result<Trusting, TrustError>>,
}

/// What connections are made with.
struct Trusting {
    files: Files,
    connector: TlsConnector,
}

/// What is in the files that the settings name.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    authorities: Option<Vec<u8>>,
    /// The gateway's certificate, and its key.
    client: Option<(Vec<u8>, Vec<u8>)>,
}

const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Whether an upstream could be reached with what the settings name.
///
/// # Errors
/// What is wrong with a file.
pub(crate) fn check(settings: &UpstreamTls) -> Result<(), TrustError> {
    config(settings, &Files::read(settings)?).map(|_| ())
}

impl Files {
    fn read(settings: &UpstreamTls) -> Result<Self, TrustError> {
        let authorities = settings.ca.as_ref().map(|file| read("ca", file));
        let client = settings.client.as_ref().map(|client| {
            let certificate = read("client_cert", &client.certificate)?;
            Ok((certificate, read("client_key", &client.key)?))
        });
        Ok(Self {
            authorities: authorities.transpose()?,
            client: client.transpose()?,
        })
    }
}

impl Trusting {
    fn new(settings: &UpstreamTls, files: Files, offer: Offer) -> Result<Self, TrustError> {
        let mut config = config(settings, &files)?;
        config.alpn_protocols = match offer {
            Offer::Http1 => vec![HTTP_1_1.to_vec()],
            Offer::Both => vec![H2.to_vec(), HTTP_1_1.to_vec()],
        };
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { files, connector })
    }
}

impl Tls {
    pub(super) fn new(settings: &UpstreamTls, offer: Offer) -> Self {
        let trusting = Files::read(settings)
            .and_then(|files| Trusting::new(settings, files, offer))
            // They were sound when the configuration was checked: they have changed since.
            .inspect_err(|error| {
                tracing::error!(key = error.key, reason = %error.reason, "an upstream's certificates");
            });
        Self(Arc::new(Held {
            settings: settings.clone(),
            offer,
            trusting: ArcSwap::from_pointee(trusting),
        }))
    }

    /// Follows the files as long as connections may be made; `None` where the settings name none.
    pub(super) fn following(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let UpstreamTls { ca, client } = &self.0.settings;
        let has_files = ca.is_some() || client.is_some();
        has_files.then(|| rotation::follow(Arc::downgrade(&self.0)))
    }

    /// Makes the handshake, in which the endpoint proves to be `host`.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = match &**self.0.trusting.load() {
            Ok(trusting) => trusting.connector.clone(),
            Err(error) => return Err(std::io::Error::other(error.reason.clone())),
        };
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        connector.connect(name, stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Whether both sides have agreed on HTTP/2.
pub(super) fn is_h2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

/// Whether a certificate can bear this name.
pub(crate) fn is_server_name(host: &str) -> bool {
    ServerName::try_from(host).is_ok()
}

fn config(settings: &UpstreamTls, files: &Files) -> Result<ClientConfig, TrustError> {
    let roots = match (&settings.ca, &files.authorities) {
        (Some(file), Some(text)) => Arc::new(authorities(file, text)?),
        _ => system_authorities(),
    };
    let error = |key, reason: &dyn fmt::Display| TrustError {
        key,
        reason: reason.to_string(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|reason| error("ca", &reason))?
        .with_root_certificates(roots);
    match (&settings.client, &files.client) {
        (Some(client), Some((chain, key))) => {
            let chain = certificates("client_cert", &client.certificate, chain)?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|reason| unusable("client_key", &client.key, &reason))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|reason| error("client_key", &reason))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, TrustError> {
    certificate::read(key, file).map_err(|error| unusable(key, file, &error.what))
}

fn authorities(file: &Path, text: &[u8]) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", file, text)? {
        roots
            .add(certificate)
            .map_err(|reason| unusable("ca", file, &reason))?;
    }
    Ok(roots)
}

/// The operating system's, read once: hundreds of files on some.
fn system_authorities() -> Arc<RootCertStore> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "a certificate of the system");
        }
        let mut roots = RootCertStore::empty();
        // What one library of the system takes and this one does not is no fault of the operator.
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    }))
}

fn certificates(
    key: &'static str,
    file: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|reason| unusable(key, file, &reason))?;
    if read.is_empty() {
        return Err(unusable(key, file, &"holds no certificate in PEM"));
    }
    Ok(read)
}

fn unusable(key: &'static str, file: &Path, reason: &dyn fmt::Display) -> TrustError {
    TrustError {
        key,
        reason: format!("{}: {reason}", file.display()),
    }
}
