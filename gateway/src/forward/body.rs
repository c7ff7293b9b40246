//! A client's body on its way to an upstream, which may have to be sent a second time.
//!
//! Invariant: a body that grows beyond what is kept is let go and can no longer be replayed; it is never
//! gathered in memory. Once an answer is handed out nothing is kept. Only the newest attempt reads
//! from the client: an older one, still being torn down, cannot steal its bytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::kept::Kept;
use crate::headers;
use crate::pace::{LeastRate, Pace};

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
    has_begun: bool,
    is_over: bool,
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
    kept: Kept,
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
            kept: Kept::default(),
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
        locked.kept.rewind();
        locked.last_progress = Instant::now();
        RequestBody::Replayed(Replay {
            attempt: locked.attempt,
            has_begun: false,
            is_over: false,
            source: Arc::clone(source),
        })
    }

    /// True when another attempt could send the whole body.
    pub(crate) fn can_replay(&self) -> bool {
        self.0.as_ref().is_none_or(|source| {
            let source = lock(source);
            source.kept.is_whole() && source.failed.is_none()
        })
    }

    /// There will be no other attempt.
    pub(crate) fn let_go(&self) {
        if let Some(source) = &self.0 {
            lock(source).kept.let_go();
        }
    }

    /// Why the client's body ended early, if it did.
    pub(crate) fn failure(&self) -> Option<BodyError> {
        lock(self.0.as_ref()?).failed
    }

    /// True when the request has a body, however long.
    pub(crate) fn exists(&self) -> bool {
        self.0.is_some()
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
                    Some(left) if !replay.has_begun => SizeHint::with_exact(left + source.received),
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
        if let Some(kept) = source.kept.next() {
            self.has_begun = true;
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        if let Some(error) = source.failed {
            return Poll::Ready(Some(Err(error)));
        }
        if source.is_ended {
            let is_first_end = !std::mem::replace(&mut self.is_over, true);
            let trailers = source.trailers.clone().filter(|_| is_first_end);
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(source.poll_client(cx));
        match &frame {
            Some(Ok(frame)) if frame.is_data() => self.has_begun = true,
            Some(Ok(_)) => self.is_over = true,
            _ => {}
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
        self.kept.push(&data);
        Some(Ok(Frame::data(data)))
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.failed = Some(error);
        error
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}
