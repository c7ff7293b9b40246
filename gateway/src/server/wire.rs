//! A client's TCP connection, from its first bytes on.
//!
//! Invariant: what was read to recognise the protocol is read again by whoever speaks it. A client
//! that does not read what it asked for, so that writing stands still, fails the next write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::client::Client;
use crate::pace::Pace;
use crate::stats::Ended;

/// What a client of HTTP/2 with prior knowledge says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a record that holds a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// How much the first read takes: a whole request mostly, so that recognising it costs no further
/// read.
const FIRST_READ: usize = 4 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpStream,
    /// Read, and not yet read again.
    first: Vec<u8>,
    taken: usize,
    reading: Pace,
    client: Arc<Client>,
}

/// What a client begins to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// It closed, or was cut off, before it was clear.
    Nothing,
    /// Whatever is neither of the others.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// A handshake.
    Tls,
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, client: Arc<Client>) -> Self {
        Self {
            tcp,
            first: Vec::new(),
            taken: 0,
            reading: Pace::new(client.least_rate),
            client,
        }
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The bare connection, for whoever only has a last word to say.
    pub(super) fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    /// Waits for as many bytes as it takes to know what is spoken: one read mostly.
    pub(super) async fn opening(&mut self) -> Opening {
        loop {
            if self.tcp.readable().await.is_err() {
                return Opening::Nothing;
            }
            self.first.reserve(FIRST_READ);
            match self.tcp.try_read_buf(&mut self.first) {
                Ok(0) => return Opening::Nothing,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Opening::Nothing,
            }
            let compared = self.first.len().min(PREFACE.len());
            return match self.first[0] {
                HANDSHAKE => Opening::Tls,
                _ if self.first[..compared] != PREFACE[..compared] => Opening::Http1,
                _ if compared == PREFACE.len() => Opening::Http2,
                _ => continue,
            };
        }
    }

    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &wrote {
            Poll::Ready(Ok(bytes)) => self.reading.moved(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if self.reading.poll_too_slow(cx).is_ready() {
                    self.client.counts.ended(Ended::Slow);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        wrote
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let left = &self.first[self.taken..];
            let here = left.len().min(buffer.remaining());
            buffer.put_slice(&left[..here]);
            self.taken += here;
            if self.taken == self.first.len() {
                self.first = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.tcp).poll_write(cx, buffer);
        self.judge(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.tcp).poll_write_vectored(cx, buffers);
        self.judge(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
