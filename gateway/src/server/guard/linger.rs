//! A connection that is closed while its client is still sending: what comes is read and thrown away
//! for a while.
//!
//! A socket that is closed with bytes unread, or that gets some afterwards, is reset, and the client
//! may lose the answer that was on its way (RFC 9112 §9.6): the 413, the 401.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

use super::framing::Framing;

/// How long a client may take to see the answer and stop.
const TIME: Duration = Duration::from_secs(5);

/// How much it may send meanwhile: what a fast client has on its way, not a whole upload.
const BYTES: usize = 16 * 1024 * 1024;

/// What one read takes.
const PIECE: usize = 8 * 1024;

/// The end of a connection.
#[derive(Debug, Default)]
pub(super) enum Linger {
    /// Not yet.
    #[default]
    Due,
    /// The client has nothing more to send, as far as we know: only what is here already is read.
    Briefly { left: usize },
    /// It is in the middle of something.
    Until { timer: Pin<Box<Sleep>>, left: usize },
    /// Over, or none of ours.
    Over,
}

impl Linger {
    pub(super) fn is_due(&self) -> bool {
        matches!(self, Self::Due)
    }

    /// Our side is closed.
    pub(super) fn begin(&mut self, framing: &Framing) {
        *self = if framing.is_off() {
            // A tunnel's other direction goes on.
            Self::Over
        } else if framing.is_between_requests() {
            Self::Briefly { left: BYTES }
        } else {
            Self::until(BYTES)
        };
    }

    /// Reads until the client has closed, or it is enough.
    pub(super) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut piece = [0; PIECE];
        loop {
            let left = match self {
                Self::Due | Self::Over => return Poll::Ready(()),
                Self::Briefly { left } | Self::Until { left, .. } => left,
            };
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *left = left.saturating_sub(buffer.filled().len());
                    let left = *left;
                    if left == 0 {
                        *self = Self::Over;
                    } else if let Self::Briefly { .. } = self {
                        *self = Self::until(left);
                    }
                }
                Poll::Ready(_) => *self = Self::Over,
                Poll::Pending => {
                    if let Self::Until { timer, .. } = self
                        && timer.as_mut().poll(cx).is_pending()
                    {
                        return Poll::Pending;
                    }
                    *self = Self::Over;
                }
            }
        }
    }

    fn until(left: usize) -> Self {
        Self::Until {
            timer: Box::pin(tokio::time::sleep(TIME)),
            left,
        }
    }
}
