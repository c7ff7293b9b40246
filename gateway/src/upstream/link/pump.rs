//! Sends a request's body over a stream of HTTP/2, as fast as the endpoint takes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body, Frame};
use tokio::task::JoinHandle;

use crate::forward::{BodyError, RequestBody};

/// The task that sends; it ends with this.
#[derive(Debug)]
pub(super) struct Pump(JoinHandle<()>);

impl Pump {
    /// Begins to send. What is not yet sent when the pump is dropped never is.
    pub(super) fn start(body: RequestBody, stream: SendStream<Bytes>) -> Self {
        Self(tokio::spawn(run(body, stream)))
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// At most one piece of the body is held here: the next is asked for when this one was taken.
async fn run(mut body: RequestBody, mut stream: SendStream<Bytes>) {
    loop {
        let Some(frame) = next(&mut body, &mut stream).await else {
            return;
        };
        let sent = match frame {
            None => stream.send_data(Bytes::new(), true),
            Some(Err(error)) => {
                tracing::trace!(%error, "a request's body is not sent to its end");
                stream.send_reset(Reason::CANCEL);
                return;
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => match send(&mut stream, data).await {
                    Some(()) => continue,
                    None => return,
                },
                Err(frame) => stream.send_trailers(frame.into_trailers().unwrap_or_default()),
            },
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "a stream is closed already");
        }
        return;
    }
}

/// The body's next frame; `None` when the endpoint wants no more of it.
async fn next(
    body: &mut RequestBody,
    stream: &mut SendStream<Bytes>,
) -> Option<Option<Result<Frame<Bytes>, BodyError>>> {
    poll_fn(|cx| {
        if stream.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut *body).poll_frame(cx).map(Some)
    })
    .await
}

/// `None` when the endpoint wants no more.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Option<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        while stream.capacity() == 0 {
            poll_fn(|cx| {
                if stream.poll_reset(cx).is_ready() {
                    return Poll::Ready(None);
                }
                stream.poll_capacity(cx)
            })
            .await?
            .ok()?;
        }
        let piece = data.split_to(stream.capacity().min(data.len()));
        stream.send_data(piece, false).ok()?;
    }
    Some(())
}
