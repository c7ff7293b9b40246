//! A connection of HTTP/1.1: one exchange at a time.

use std::io;
use std::sync::Arc;

use http::{Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Broken, ResponseBody, SendError, Traffic, counted};
use crate::config::HeaderCase;
use crate::forward::RequestBody;

/// What is read of an answer at once, and the largest head of one. A client that does not read holds this
/// three times: read, on its way, and about to be written. Larger pieces are not measurably cheaper.
const READ_AHEAD: usize = 32 * 1024;

/// One HTTP/1.1 connection to an endpoint.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: SendRequest<RequestBody>,
    /// Tells whether a failed request was sent at all.
    traffic: Arc<Traffic>,
}

impl Http1 {
    /// Leaves the connection to a task of this worker's runtime.
    pub(in crate::upstream) async fn start<S>(
        stream: S,
        header_case: HeaderCase,
    ) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, traffic) = counted(stream);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_AHEAD)
            .preserve_header_case(header_case == HeaderCase::Keep)
            .handshake(TokioIo::new(io))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                // The request in flight, if there was one, has got the same error and reports it.
                tracing::trace!(%error, "an upstream connection ended");
            }
        });
        Ok(Self { sender, traffic })
    }

    /// True when a request can be sent at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the next request can be sent; false when the connection is closed instead.
    pub(crate) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, SendError> {
        self.traffic.expect_answer();
        match self.sender.try_send_request(request).await {
            Ok(response) if is_clear(&response) => {
                self.traffic.answered();
                Ok(response.map(ResponseBody::Http1))
            }
            Ok(_) => Err(SendError {
                request: None,
                why: Broken::Malformed,
            }),
            Err(mut failed) => {
                let request = failed.take_message();
                let error = failed.into_error();
                tracing::debug!(%error, "an exchange failed");
                let is_malformed = error.is_parse() || error.is_parse_too_large();
                let why = if is_malformed || self.traffic.is_flooded() {
                    Broken::Malformed
                } else {
                    Broken::Closed
                };
                Err(SendError { request, why })
            }
        }
    }

    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}

/// Whether the answer can be read in one way only (RFC 9112 §6.1, §6.3). The library reads some of the
/// others, too: it prefers chunks to a length, and takes what it does not know for the bytes themselves.
fn is_clear(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    let is_one = lengths.next().is_none() && length.is_none_or(|it| !it.as_bytes().contains(&b','));
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return is_one;
    };
    length.is_none()
        && codings.next().is_none()
        && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        && response.version() == Version::HTTP_11
}
