//! A response's body as it comes from an endpoint.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pump::Pump;

/// A response's body. It ends without an error only where the endpoint said that it is complete.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// Of a connection of HTTP/1.1.
    Http1(Incoming),
    /// Of a stream of HTTP/2.
    Http2(Received),
}

/// The receiving half of a stream.
#[derive(Debug)]
pub(crate) struct Received {
    stream: RecvStream,
    is_data_over: bool,
    /// Goes on sending the request's body while the response is being read.
    _pump: Option<Pump>,
}

/// The body ended before it was complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenOff {
    /// The connection ended, or its framing broke.
    #[error("{0}")]
    Http1(#[from] hyper::Error),
    /// The stream or its connection ended.
    #[error("{0}")]
    Http2(#[from] h2::Error),
}

impl Received {
    pub(super) fn new(stream: RecvStream, pump: Option<Pump>) -> Self {
        Self {
            stream,
            is_data_over: false,
            _pump: pump,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.is_data_over {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The client took what came before, or this would not be asked for: the endpoint
                    // may send as much again.
                    self.stream.flow_control().release_capacity(data.len())?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_data_over = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BrokenOff::from),
            Self::Http2(received) => received.poll(cx).map_err(BrokenOff::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(incoming) => incoming.is_end_stream(),
            Self::Http2(received) => received.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(incoming) => incoming.size_hint(),
            Self::Http2(received) if received.stream.is_end_stream() => SizeHint::with_exact(0),
            Self::Http2(_) => SizeHint::default(),
        }
    }
}
