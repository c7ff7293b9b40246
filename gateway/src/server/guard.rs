//! Refuses ambiguous messages before the HTTP library sees them, which would repair some silently.
//!
//! The guard follows the framing of a client's requests as they are read. At the first sign of
//! something that two parties could read differently (RFC 9112 §6.3, §2.2, §7.1: a length beside
//! chunks, a second length, a line that ends without CR) it blanks the rest of what was read, so
//! that the parser behind answers 400 and closes. It judges framing only; the parser judges the
//! rest.
//!
//! Invariant: guard and parser always agree on where a request ends, or the connection is over.
//! After a request with `Upgrade` the bytes may be any protocol's: the guard is off from there, and
//! the proxy closes such a connection unless it becomes a tunnel.

mod framing;
mod linger;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use self::framing::Framing;
use self::linger::Linger;
use super::client::Client;
use crate::stats::Ended;

/// A client's stream under guard.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    framing: Framing,
    client: Arc<Client>,
    /// Since when a head is being read.
    head_since: Option<Instant>,
    late: Option<Pin<Box<Sleep>>>,
    linger: Linger,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, client: Arc<Client>) -> Self {
        Self {
            stream,
            framing: Framing::default(),
            client,
            head_since: None,
            late: None,
            linger: Linger::default(),
        }
    }

    /// Ready when the client takes too long for a head, or between two requests.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_within_head = self.framing.is_within_head();
        let deadline = if is_within_head {
            let since = *self.head_since.get_or_insert_with(Instant::now);
            Some(since + self.client.header_timeout)
        } else if self.framing.is_between_requests() {
            self.head_since = None;
            // None while a request is under way: then it is ours to move. Nobody tells when it is
            // over, so that it is looked at again after a while.
            self.client.idle_until()
        } else {
            // Bodies are watched by who reads them.
            return Poll::Pending;
        };
        let later = || Instant::now() + self.client.idle_timeout;
        let timer = self.late.get_or_insert_with(|| {
            let first = deadline.unwrap_or_else(later);
            Box::pin(tokio::time::sleep_until(first))
        });
        if let Some(deadline) = deadline.filter(|_| is_within_head)
            && timer.deadline() > deadline
        {
            timer.as_mut().reset(deadline);
        }
        // Otherwise the timer is left alone, and set anew only when it fires.
        while timer.as_mut().poll(cx).is_ready() {
            match deadline {
                Some(deadline) if timer.deadline() >= deadline => {
                    if is_within_head {
                        self.client.counts.ended(Ended::Late);
                    }
                    return Poll::Ready(());
                }
                Some(deadline) => timer.as_mut().reset(deadline),
                None => timer.as_mut().reset(later()),
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        match read {
            Poll::Ready(Ok(())) => {
                let checked = this.framing.check(&mut buffer.filled_mut()[before..]);
                if checked.is_err() {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
            Poll::Pending if this.poll_late(cx).is_ready() => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            _ => {}
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_due() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.linger.begin(&this.framing);
        }
        this.linger.poll(&mut this.stream, cx).map(Ok)
    }
}
