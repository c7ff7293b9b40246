//! Opening a connection to an endpoint, and knowing what went over it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::config;
use crate::forward::RequestBody;

/// One HTTP/1.1 connection to an endpoint.
#[derive(Debug)]
pub(crate) struct Link {
    /// Sends the next request.
    pub(crate) sender: SendRequest<RequestBody>,
    /// What was written so far, in bytes: tells whether a failed request was sent at all.
    written: Arc<AtomicU64>,
}

/// Why there is no connection. Nothing was sent in either case.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Refused, unreachable, or a name that does not resolve.
    #[error("connecting failed: {0}")]
    Failed(#[from] io::Error),
    /// `connect_timeout` passed.
    #[error("connecting took too long")]
    TimedOut,
}

impl Link {
    /// Connects and leaves the connection to a task of this worker's runtime.
    pub(crate) async fn open(
        endpoint: &config::Endpoint,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let connecting = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
        let stream = tokio::time::timeout(timeout, connecting)
            .await
            .map_err(|_| ConnectError::TimedOut)??;
        // Without it a small body behind a head waits for the peer's delayed acknowledgement.
        stream.set_nodelay(true)?;
        let written = Arc::new(AtomicU64::new(0));
        let io = Counted {
            stream,
            written: Arc::clone(&written),
        };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER)
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

    /// How many bytes were written to the endpoint since the connection was opened.
    pub(crate) fn written(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }
}

/// hyper's buffers per upstream connection; the head of a response must fit in it.
const MAX_BUFFER: usize = 64 * 1024;

/// A stream that counts what was written.
struct Counted {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(written)) = written {
            self.written.fetch_add(*written as u64, Ordering::Release);
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
