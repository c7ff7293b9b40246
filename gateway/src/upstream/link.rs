//! What carries one exchange with an endpoint: a whole HTTP/1.1 connection, or one stream of an
//! HTTP/2 connection.
//!
//! Invariant: dropping a link gives up its exchange and no other. A connection of HTTP/1.1 ends with
//! it; on HTTP/2 the stream is cancelled and the connection goes on.

mod counted;
mod http1;
mod http2;
mod pump;
mod response;

use std::sync::Arc;

use http::{Request, Response};

use counted::{Traffic, counted};
pub(super) use http1::Http1;
pub(super) use http2::{Connection, Load, Stream, Target};
pub(crate) use response::{BrokenOff, ResponseBody};

use super::connect::Opened;
use crate::forward::RequestBody;

/// A way to send one request and get its response.
#[derive(Debug)]
pub(crate) enum Link {
    /// A connection of its own.
    Http1(Http1),
    /// A place on a shared connection.
    Http2(Stream),
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) struct SendError {
    /// The request, where it can be had back.
    pub(crate) request: Option<Request<RequestBody>>,
    pub(crate) why: Broken,
}

/// What went wrong before the response's head was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection or the stream ended.
    Closed,
    /// The endpoint says that it did not and will not look at the request (RFC 9113 §8.7).
    Unprocessed,
    /// What came is no HTTP.
    Malformed,
}

/// Counts what is written to the endpoint from a moment on.
#[derive(Debug)]
pub(crate) struct Meter {
    traffic: Arc<Traffic>,
    before: u64,
}

impl Link {
    /// One exchange on a connection that nobody else uses.
    pub(super) fn of(opened: Opened) -> Self {
        match opened {
            Opened::Http1(connection) => Self::Http1(connection),
            Opened::Http2(connection) => Self::Http2(connection.stream()),
        }
    }

    /// Sends the request and waits for the response's head.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, SendError> {
        match self {
            Self::Http1(connection) => connection.send(request).await,
            Self::Http2(stream) => stream.send(request).await,
        }
    }

    /// Begins to count what is written.
    pub(crate) fn meter(&self) -> Meter {
        let traffic = match self {
            Self::Http1(connection) => connection.traffic(),
            Self::Http2(stream) => stream.traffic(),
        };
        Meter {
            before: traffic.written(),
            traffic: Arc::clone(traffic),
        }
    }

    /// The endpoint was silent for too long: no further request goes over this connection. What
    /// else is under way on it may still be answered.
    pub(crate) fn distrust(&self) {
        if let Self::Http2(stream) = self {
            stream.distrust();
        }
    }
}

impl Meter {
    /// True when not one byte was written. On a shared connection it may be another's that was.
    pub(crate) fn is_unmoved(&self) -> bool {
        self.traffic.written() == self.before
    }
}

/// The largest head of a response over HTTP/2.
const MAX_HEAD: usize = 64 * 1024;
