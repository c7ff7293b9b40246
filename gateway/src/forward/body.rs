//! A client's body on its way to an upstream, which may have to be sent a second time.
//!
//! Invariant: at most [`REPLAY_LIMIT`] bytes of a body are kept. A body that grows beyond is let go
//! and can no longer be replayed; it is never gathered in memory. Only the newest attempt reads
//! from the client: an older one, still being torn down, cannot steal its bytes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::headers;
use crate::pace::{LeastRate, Pace};

/// How much of a body is kept for a second attempt: the requests of an API fit, an upload does
/// not, and a thousand of them under way stay within 64 MiB.
pub(crate) const REPLAY_LIMIT: usize = 64 * 1024;

/// The body of one attempt.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// There is none.
    Empty,
    /// The client's, from its beginning.
    Replayed(Replay),
}

/// The client's body, from which each attempt gets its own [`RequestBody`].
#[derive(Debug, Clone)]
pub(crate) struct BodySource(Option<Arc<Mutex<Source>>>);

/// One attempt's reading of the body.
#[derive(Debug)]
pub(crate) struct Replay {
    source: Arc<Mutex<Source>>,
    attempt: u32,
    next: usize,
}

/// Why a body could not be read to its end. The upstream is not to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client went away or broke the framing.
    #[error("the client's body broke off")]
    Client,
    /// Longer than the route allows.
    #[error("the body is larger than this route takes")]
    TooLarge,
    /// The client sends, and too slowly.
    #[error("the client's body comes too slowly")]
    TooSlow,
    /// A newer attempt reads now.
    #[error("another attempt has taken over")]
    Superseded,
}

/// Who keeps a body from moving on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitingFor {
    /// The client has to send more.
    Client,
    /// The upstream has to read, or to answer.
    Upstream,
}

#[derive(Debug)]
struct Source {
    incoming: Incoming,
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    is_overflown: bool,
    is_ended: bool,
    trailers: Option<HeaderMap>,
    failed: Option<BodyError>,
    attempt: u32,
    received: u64,
    limit: Option<u64>,
    waiting_for: WaitingFor,
    last_progress: Instant,
    pace: Pace,
}

impl BodySource {
    /// The body of a request, of which `limit` bytes are let through at most.
    pub(crate) fn new(incoming: Incoming, limit: Option<u64>, least: LeastRate) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        Self(Some(Arc::new(Mutex::new(Source {
            incoming,
            kept: VecDeque::new(),
            kept_bytes: 0,
            is_overflown: false,
            is_ended: false,
            trailers: None,
            failed: None,
            attempt: 0,
            received: 0,
            limit,
            waiting_for: WaitingFor::Upstream,
            last_progress: Instant::now(),
            pace: Pace::new(least),
        }))))
    }

    /// The body for the next attempt; the one before gets no more.
    pub(crate) fn attempt(&self) -> RequestBody {
        let Some(source) = &self.0 else {
            return RequestBody::Empty;
        };
        let mut locked = lock(source);
        locked.attempt += 1;
        locked.last_progress = Instant::now();
        RequestBody::Replayed(Replay {
            attempt: locked.attempt,
            next: 0,
            source: Arc::clone(source),
        })
    }

    /// True when another attempt could send the whole body.
    pub(crate) fn can_replay(&self) -> bool {
        self.0.as_ref().is_none_or(|source| {
            let source = lock(source);
            !source.is_overflown && source.failed.is_none()
        })
    }

    /// Why the client's body ended early, if it did.
    pub(crate) fn failure(&self) -> Option<BodyError> {
        lock(self.0.as_ref()?).failed
    }

    /// True when everything the client had to send was read.
    pub(crate) fn is_ended(&self) -> bool {
        self.0.as_ref().is_none_or(|source| lock(source).is_ended)
    }

    /// Who is being waited for, and since when; `None` where there is no body.
    pub(crate) fn progress(&self) -> Option<(WaitingFor, Instant)> {
        let source = lock(self.0.as_ref()?);
        Some((source.waiting_for, source.last_progress))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Replayed(replay) => replay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Replayed(replay) => {
                let source = lock(&replay.source);
                let left = source.incoming.size_hint();
                match left.exact() {
                    // Before its first byte an attempt owes all that was received so far, too.
                    Some(left) if replay.next == 0 => SizeHint::with_exact(left + source.received),
                    _ => left,
                }
            }
        }
    }
}

impl Replay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut source = lock(&self.source);
        if source.attempt != self.attempt {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        if let Some(kept) = source.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(kept.clone()))));
        }
        if let Some(error) = source.failed {
            return Poll::Ready(Some(Err(error)));
        }
        if source.is_ended {
            let is_first_end = self.next <= source.kept.len();
            self.next = usize::MAX;
            let trailers = source.trailers.clone().filter(|_| is_first_end);
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(source.poll_client(cx));
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) && !source.is_overflown {
            self.next = source.kept.len();
        }
        if matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
            self.next = usize::MAX;
        }
        Poll::Ready(frame)
    }
}

impl Source {
    fn poll_client(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            if self.waiting_for == WaitingFor::Upstream {
                // The client's time runs from when it was asked for more.
                self.waiting_for = WaitingFor::Client;
                self.last_progress = Instant::now();
            }
            if self.pace.poll_too_slow(cx).is_ready() {
                return Poll::Ready(Some(Err(self.fail(BodyError::TooSlow))));
            }
            return Poll::Pending;
        };
        self.waiting_for = WaitingFor::Upstream;
        self.last_progress = Instant::now();
        Poll::Ready(match frame {
            None => {
                self.is_ended = true;
                None
            }
            Some(Err(_)) => Some(Err(self.fail(BodyError::Client))),
            Some(Ok(frame)) => self.take_frame(frame),
        })
    }

    fn take_frame(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                headers::remove_hop_by_hop(&mut trailers);
                headers::remove_reserved(&mut trailers);
                self.is_ended = true;
                self.trailers = Some(trailers.clone());
                return Some(Ok(Frame::trailers(trailers)));
            }
        };
        self.received += data.len() as u64;
        self.pace.moved(data.len());
        if self.limit.is_some_and(|limit| self.received > limit) {
            return Some(Err(self.fail(BodyError::TooLarge)));
        }
        // A body of known length ends with its last byte; nobody may ask again.
        self.is_ended = self.incoming.is_end_stream();
        self.keep(&data);
        Some(Ok(Frame::data(data)))
    }

    fn keep(&mut self, data: &Bytes) {
        if self.is_overflown {
            return;
        }
        self.kept_bytes += data.len();
        if self.kept_bytes > REPLAY_LIMIT {
            self.is_overflown = true;
            self.kept = VecDeque::new();
        } else {
            self.kept.push_back(data.clone());
        }
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.failed = Some(error);
        error
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}
