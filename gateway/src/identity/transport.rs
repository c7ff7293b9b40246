//! How a server of others is asked for a key set or a session.
//!
//! Invariant: every answer is bounded in time and length. No redirect is followed, since it would
//! let that server make us ask for things inside our own network, and no proxy of the environment
//! is used. What is asked by `https` is verified against `ca`, or what this machine trusts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Asks one server. Connections are kept between two questions.
#[derive(Clone)]
pub(super) enum Transport {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    Secure(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
    /// TLS cannot be set up here; says why.
    Unusable(Arc<str>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// No connection, or no head.
    #[error("it cannot be reached: {0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// The body broke off, or is too long.
    #[error("its answer broke off or is too long: {0}")]
    Answer(Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("it did not answer in time")]
    TimedOut,
    /// There are no roots to verify it with.
    #[error("TLS cannot be used: {0}")]
    Unusable(Arc<str>),
}

/// Shorter than what servers commonly allow, so that it is we who close.
const IDLE: Duration = Duration::from_secs(30);

/// True for one or more certificates in PEM that can verify others.
pub(crate) fn are_roots(pem: &str) -> bool {
    roots(pem).is_ok()
}

impl Transport {
    /// For this URL, verified by these roots in PEM where it is `https`.
    pub(super) fn new(url: &Uri, ca: Option<&str>) -> Self {
        if url.scheme_str() != Some("https") {
            let mut builder = Client::builder(TokioExecutor::new());
            builder
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE);
            return Self::Plain(builder.build_http());
        }
        match connector(ca) {
            Ok(connector) => {
                let mut builder = Client::builder(TokioExecutor::new());
                builder
                    .pool_timer(TokioTimer::new())
                    .pool_idle_timeout(IDLE);
                Self::Secure(builder.build(connector))
            }
            Err(why) => Self::Unusable(why.into()),
        }
    }

    /// A GET, its head and body `within` this time, the body of `most` bytes at most.
    pub(super) async fn get(
        &self,
        url: &Uri,
        headers: HeaderMap,
        within: Duration,
        most: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let mut request = Request::new(Empty::new());
        request.uri_mut().clone_from(url);
        *request.headers_mut() = headers;
        let asking = async {
            let response = match self {
                Self::Plain(client) => client.request(request).await?,
                Self::Secure(client) => client.request(request).await?,
                Self::Unusable(why) => return Err(TransportError::Unusable(Arc::clone(why))),
            };
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, most).collect().await;
            let body = body.map_err(TransportError::Answer)?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(within, asking)
            .await
            .unwrap_or(Err(TransportError::TimedOut))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Transport(http)",
            Self::Secure(_) => "Transport(https)",
            Self::Unusable(_) => "Transport(unusable)",
        })
    }
}

fn connector(ca: Option<&str>) -> Result<HttpsConnector<HttpConnector>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = match ca {
        None => HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| error.to_string())?,
        Some(pem) => {
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots(pem)?)
                .with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(config)
        }
    };
    Ok(builder.https_only().enable_http1().build())
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    if store.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(store)
}
