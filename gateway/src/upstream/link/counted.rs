//! A stream that knows what went over it.
//!
//! Invariant: between a request and the head of its answer no more than [`MAX_BEFORE_ANSWER`] bytes are
//! read, whatever interim answers they are made of.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What went over a connection since it was opened.
#[derive(Debug)]
pub(crate) struct Traffic {
    written: AtomicU64,
    /// How much may still be read before an answer's head is complete.
    unanswered: AtomicU64,
}

/// A stream that counts what is written to it, and bounds what comes unasked.
pub(super) struct Counted<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

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

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> (Self, Arc<Traffic>) {
        let traffic = Arc::new(Traffic {
            written: AtomicU64::new(0),
            unanswered: AtomicU64::new(UNBOUNDED),
        });
        let counted = Self {
            stream,
            traffic: Arc::clone(&traffic),
        };
        (counted, traffic)
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(written)) = written {
            let written = *written as u64;
            self.traffic.written.fetch_add(written, Ordering::Release);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = (buffer.filled().len() - before) as u64;
        if read > 0 && !self.traffic.take(read) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
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
