//! A connection of HTTP/1.1: one exchange at a time.

use std::io;

use http::{Request, Response};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Broken, Counted, MAX_HEAD, ResponseBody, SendError, Written};
use crate::forward::RequestBody;

/// One HTTP/1.1 connection to an endpoint.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: SendRequest<RequestBody>,
    /// Tells whether a failed request was sent at all.
    written: Written,
}

impl Http1 {
    /// Leaves the connection to a task of this worker's runtime.
    pub(in crate::upstream) async fn start<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, written) = Counted::new(stream);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(io))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                // The request in flight, if there was one, has got the same error and reports it.
                tracing::trace!(%error, "an upstream connection ended");
            }
        });
        Ok(Self { sender, written })
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
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok(response.map(ResponseBody::Http1)),
            Err(mut failed) => {
                let request = failed.take_message();
                let error = failed.into_error();
                tracing::debug!(%error, "an exchange failed");
                let why = if error.is_parse() || error.is_parse_too_large() {
                    Broken::Malformed
                } else {
                    Broken::Closed
                };
                Err(SendError { request, why })
            }
        }
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }
}
