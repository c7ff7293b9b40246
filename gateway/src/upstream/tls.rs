//! Whom the gateway takes an upstream for, when it reaches it by TLS.
//!
//! Invariant: there is no connection without a certificate that leads to a trusted authority and
//! bears the endpoint's name. Nothing switches that off.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::UpstreamTls;

/// The authorities that are trusted, and the certificate that the gateway shows.
pub(crate) struct Trust(ClientConfig);

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

/// Makes the TLS connections of one upstream.
#[derive(Clone)]
pub(super) struct Tls(Result<TlsConnector, Arc<TrustError>>);

const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

impl Trust {
    /// Reads what the settings name.
    pub(crate) fn read(settings: &UpstreamTls) -> Result<Self, TrustError> {
        let roots = match &settings.ca {
            Some(file) => Arc::new(authorities(file)?),
            None => system_authorities(),
        };
        let error = |key, reason: &dyn fmt::Display| TrustError {
            key,
            reason: reason.to_string(),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|reason| error("ca", &reason))?
            .with_root_certificates(roots);
        let config = match &settings.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let chain = certificates("client_cert", &client.certificate)?;
                let key = PrivateKeyDer::from_pem_file(&client.key)
                    .map_err(|reason| unreadable("client_key", &client.key, &reason))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|reason| error("client_key", &reason))?
            }
        };
        Ok(Self(config))
    }
}

impl Tls {
    pub(super) fn new(settings: &UpstreamTls, offer: Offer) -> Self {
        let connector = Trust::read(settings).map(|Trust(mut config)| {
            config.alpn_protocols = match offer {
                Offer::Http1 => vec![HTTP_1_1.to_vec()],
                Offer::Both => vec![H2.to_vec(), HTTP_1_1.to_vec()],
            };
            TlsConnector::from(Arc::new(config))
        });
        // The files were read when the configuration was checked: this one has changed since.
        Self(connector.map_err(|error| {
            tracing::error!(key = error.key, reason = %error.reason, "an upstream's certificates");
            Arc::new(error)
        }))
    }

    /// Makes the handshake, in which the endpoint proves to be `host`.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = self
            .0
            .as_ref()
            .map_err(|error| std::io::Error::other(error.reason.clone()))?;
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

fn authorities(file: &Path) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", file)? {
        roots
            .add(certificate)
            .map_err(|reason| unreadable("ca", file, &reason))?;
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
) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|reason| unreadable(key, file, &reason))?;
    if read.is_empty() {
        return Err(unreadable(key, file, &"holds no certificate in PEM"));
    }
    Ok(read)
}

fn unreadable(key: &'static str, file: &Path, reason: &dyn fmt::Display) -> TrustError {
    TrustError {
        key,
        reason: format!("{}: {reason}", file.display()),
    }
}
