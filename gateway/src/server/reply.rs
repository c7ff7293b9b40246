//! An answer's body as the server sends it: it holds its request under way until its end, and tells
//! who is being waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::client::Active;
use crate::forward::RelayError;
use crate::proxy::ReplyBody;

/// A body under way.
#[derive(Debug)]
pub(super) struct Reply {
    body: ReplyBody,
    progress: Option<Arc<Progress>>,
    _active: Active,
}

/// How far an answer is, where the server cannot tell by its socket: many share one in HTTP/2.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bytes: AtomicU64,
    is_clients_turn: AtomicBool,
}

impl Reply {
    pub(super) fn new(body: ReplyBody, active: Active, progress: Option<Arc<Progress>>) -> Self {
        Self {
            body,
            progress,
            _active: active,
        }
    }
}

impl Progress {
    /// How many bytes were taken, and whether the client has to take the last of them before it is
    /// asked for more.
    pub(super) fn so_far(&self) -> (u64, bool) {
        let is_clients_turn = self.is_clients_turn.load(Ordering::Relaxed);
        (self.bytes.load(Ordering::Relaxed), is_clients_turn)
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let Some(progress) = &this.progress {
            let data = match &frame {
                Poll::Ready(Some(Ok(frame))) => frame.data_ref().map(Bytes::len),
                _ => None,
            };
            progress
                .is_clients_turn
                .store(data.is_some(), Ordering::Relaxed);
            let bytes = data.unwrap_or(0) as u64;
            progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
