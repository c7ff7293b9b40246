//! Writes interim answers between what the server library writes.
//!
//! Invariant: a hint goes out only where no answer is half written, before the answer that it
//! belongs to, and whole. The library flushes this stream only when it has nothing left to write; from
//! there until its next write nothing is half written. A hint for which there was no such moment is
//! dropped.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::hints::Hints;

/// A stream with the hints that go over it; without, it is the stream.
#[derive(Debug)]
pub(super) struct Hinted<S> {
    stream: S,
    hints: Option<Arc<Hints>>,
    /// Begun, and to be finished before anything else.
    begun: Bytes,
    /// Nothing of an answer is half written.
    is_between: bool,
}

impl<S: AsyncWrite + Unpin> Hinted<S> {
    pub(super) fn new(stream: S, hints: Option<Arc<Hints>>) -> Self {
        Self {
            stream,
            hints,
            begun: Bytes::new(),
            is_between: true,
        }
    }

    /// Ready when no hint is in the way of the library's next bytes.
    fn poll_before_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(cx))?;
        let Some(hints) = &self.hints else {
            return Poll::Ready(Ok(()));
        };
        let (waits, is_open) = hints.waits();
        if waits && self.is_between {
            self.begun = hints.take().0;
            ready!(self.poll_begun(cx))?;
        } else if waits && !is_open {
            // Its answer may be among these bytes already.
            hints.take();
        }
        self.is_between = false;
        Poll::Ready(Ok(()))
    }

    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.begun.is_empty() {
            let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.begun))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun.advance(wrote);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Hinted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Hinted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_before_write(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_before_write(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_begun(cx))?;
        let Some(hints) = &this.hints else {
            return Pin::new(&mut this.stream).poll_flush(cx);
        };
        hints.register(cx.waker());
        let (hint, is_open) = hints.take();
        // Of a request whose answer is out, a hint is too late.
        if is_open {
            this.begun = hint;
            ready!(this.poll_begun(cx))?;
        }
        this.is_between = true;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
