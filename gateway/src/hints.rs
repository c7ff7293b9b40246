//! Interim answers (103 Early Hints, RFC 8297) on their way from an upstream to a client's connection.
//!
//! The server library sends none, so that they are written beside it: see `server::hinted`, which knows
//! when that is possible. Here they wait.
//!
//! Invariant: what waits belongs to the request that is open, and is bounded. Once its answer begins
//! no hint is taken any more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use futures::task::AtomicWaker;
use http::{HeaderMap, StatusCode};

use crate::headers;

/// What may wait for one client: several hints of some links each. More are left out: they are hints.
const MOST: usize = 16 * 1024;

/// The hints of one client connection's current request.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    waiting: Mutex<Waiting>,
    /// The connection's task, which writes them.
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: BytesMut,
    is_open: bool,
}

impl Hints {
    /// A request begins.
    pub(crate) fn open(&self) {
        *self.waiting() = Waiting {
            bytes: BytesMut::new(),
            is_open: true,
        };
    }

    /// Its answer begins: further hints would come behind it.
    pub(crate) fn close(&self) {
        self.waiting().is_open = false;
    }

    /// An upstream's interim answer. What is about one connection only goes no further (RFC 9110
    /// §15.2), nor what only this gateway may say.
    pub(crate) fn tell(&self, status: StatusCode, headers: &HeaderMap) {
        let is_ours = matches!(
            status,
            StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS
        );
        if is_ours || !status.is_informational() {
            return;
        }
        let hint = encoded(status, headers.clone());
        let mut waiting = self.waiting();
        if !waiting.is_open || waiting.bytes.len() + hint.len() > MOST {
            return;
        }
        waiting.bytes.extend_from_slice(&hint);
        drop(waiting);
        self.task.wake();
    }

    /// What waits, and whether its request is still open.
    pub(crate) fn take(&self) -> (Bytes, bool) {
        let mut waiting = self.waiting();
        (waiting.bytes.split().freeze(), waiting.is_open)
    }

    /// Whether there is something to take, and whether its request is still open.
    pub(crate) fn waits(&self) -> (bool, bool) {
        let waiting = self.waiting();
        (!waiting.bytes.is_empty(), waiting.is_open)
    }

    /// Who is to be woken when there is.
    pub(crate) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encoded(status: StatusCode, mut headers: HeaderMap) -> BytesMut {
    headers::remove_hop_by_hop(&mut headers);
    headers::remove_own(&mut headers);
    let mut hint = BytesMut::new();
    let reason = status.canonical_reason().unwrap_or_default();
    hint.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    for (name, value) in &headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            hint.extend_from_slice(part);
        }
    }
    hint.extend_from_slice(b"\r\n");
    hint
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hint of some 6,000 bytes.
    fn tell(hints: &Hints) {
        let mut headers = HeaderMap::new();
        let link = "x".repeat(6_000).parse().unwrap();
        headers.insert(http::header::LINK, link);
        hints.tell(StatusCode::EARLY_HINTS, &headers);
    }

    #[test]
    fn so_much_waits_for_a_request_and_nothing_once_its_answer_begins() {
        let hints = Hints::default();
        tell(&hints);
        assert!(hints.take().0.is_empty(), "no request is open");
        hints.open();
        for _ in 0..5 {
            tell(&hints);
        }
        let (waiting, is_open) = hints.take();
        assert!(is_open && (12_000..=MOST).contains(&waiting.len()));
        tell(&hints);
        assert_eq!(hints.waits(), (true, true));
        hints.close();
        hints.take();
        tell(&hints);
        assert_eq!(hints.waits(), (false, false));
    }
}
