//! A stream that knows what went over it.
//!
//! Invariant: between a request and the head of its answer no more than [`MAX_BEFORE_ANSWER`] bytes are
//! read, whatever interim answers they are made of.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::tapped::{Tap, Tapped};

/// What went over a connection since it was opened.
#[derive(Debug)]
pub(crate) struct Traffic {
    written: AtomicU64,
    /// How much may still be read before an answer's head is complete.
    unanswered: AtomicU64,
}

/// Counts what is written to a stream, and bounds what comes unasked.
pub(super) struct Counter(Arc<Traffic>);

/// A head of 64 KiB, what the library reads ahead of a body (as much), and some interim answers.
const MAX_BEFORE_ANSWER: u64 = 256 * 1024;

/// Nothing is waited for, or all of it is welcome.
const UNBOUNDED: u64 = u64::MAX;

impl Traffic {
    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// A request begins: its answer is waited for.
    pub(super) fn expect_answer(&self) {
        self.unanswered.store(MAX_BEFORE_ANSWER, Ordering::Relaxed);
    }

    /// The head of an answer is there; its body may be of any size.
    pub(super) fn answered(&self) {
        self.unanswered.store(UNBOUNDED, Ordering::Relaxed);
    }

    /// True when more came than any answer's head takes.
    pub(super) fn is_flooded(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) == 0
    }

    /// False when it is too much.
    fn take(&self, read: u64) -> bool {
        let left = self.unanswered.load(Ordering::Relaxed);
        if left == UNBOUNDED {
            return true;
        }
        let left = left.saturating_sub(read);
        self.unanswered.store(left, Ordering::Relaxed);
        left > 0
    }
}

/// A stream with what counts it.
pub(super) fn counted<S>(stream: S) -> (Tapped<S, Counter>, Arc<Traffic>) {
    let traffic = Arc::new(Traffic {
        written: AtomicU64::new(0),
        unanswered: AtomicU64::new(UNBOUNDED),
    });
    (Tapped::new(stream, Counter(Arc::clone(&traffic))), traffic)
}

impl Tap for Counter {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.0.take(bytes.len() as u64) {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Ordering::Release);
    }
}
