//! How a provider is asked: over TLS, without following redirects (they would let a provider make
//! us ask for things inside our own network), bounded in time and length.
//!
//! reqwest would do, but its TLS wants a process-wide choice of cryptography, without which every
//! client in the process fails; this one brings its own.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http};
use thiserror::Error;

/// A provider answers within this or counts as down. A sign-in asks three times at most, and the
/// sum stays below the time that a request of ours may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Bytes of an answer at most: a discovery document has some thousands, a key set likewise.
const MAX_ANSWER: usize = 256 * 1024;

/// Asks one provider.
#[derive(Clone)]
pub(super) enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Secure(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum TransportError {
    #[error("it cannot be reached: {0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("its answer broke off or is too long: {0}")]
    Answer(String),
    #[error("it answers {0}")]
    Status(http::StatusCode),
    #[error("it did not answer in time")]
    Timeout,
    #[error("it names an address that cannot be asked: {0}")]
    Address(#[from] http::Error),
}

impl Transport {
    /// For an issuer without TLS, which is on this machine.
    pub(super) fn plain() -> Self {
        Self::Plain(Client::builder(TokioExecutor::new()).build_http())
    }

    /// For any other: TLS only, with the certificates that this machine trusts.
    pub(super) fn secure() -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_only()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self::Secure(client))
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let (parts, body) = request.into_parts();
        let request = http::Request::from_parts(parts, Full::new(Bytes::from(body)));
        let asking = async {
            let response = match self {
                Self::Plain(client) => client.request(request).await?,
                Self::Secure(client) => client.request(request).await?,
            };
            let (parts, body) = response.into_parts();
            if parts.status.is_server_error() {
                return Err(TransportError::Status(parts.status));
            }
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| TransportError::Answer(error.to_string()))?;
            Ok(HttpResponse::from_parts(parts, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(TIMEOUT, asking)
            .await
            .unwrap_or(Err(TransportError::Timeout))
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TransportError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}
