//! HTTP/2 frame by frame, so that what no library would send can be sent.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const PROTOCOL_ERROR: u32 = 1;

/// A client that sends whatever it is told.
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A frame that the gateway sent.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// An answer, by its status where that has a number of its own in HPACK.
    Answered(Option<u16>),
    /// RST_STREAM with this code.
    Reset(u32),
    /// The connection ended.
    Ended,
}

impl Raw {
    /// A connection on which both sides have said their first.
    pub(crate) async fn open(address: SocketAddr, settings: &[u8]) -> Self {
        let mut raw = Self::silent(address).await;
        raw.send(PREFACE).await;
        raw.send(&frame(SETTINGS, 0, 0, settings)).await;
        raw
    }

    /// A connection on which nothing was said.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway accepts");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// False when the gateway has closed.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sending = self.stream.write_all(bytes);
        let sent = tokio::time::timeout(PATIENCE, sending).await;
        sent.expect("the gateway reads, or closes").is_ok()
    }

    /// The next frame; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let reading = self.stream.read_buf(&mut self.buffer);
            let read = tokio::time::timeout(PATIENCE, reading).await;
            match read.expect("the gateway says something, or closes") {
                Ok(read) if read > 0 => {}
                _ => return None,
            }
        }
    }

    /// What becomes of a stream.
    pub(crate) async fn fate(&mut self, stream: u32) -> Fate {
        while let Some(frame) = self.next().await {
            match frame.kind {
                HEADERS if frame.stream == stream => {
                    return Fate::Answered(status(&frame.payload));
                }
                RST_STREAM if frame.stream == stream => {
                    let code = frame.payload.try_into().expect("four bytes");
                    return Fate::Reset(u32::from_be_bytes(code));
                }
                _ => {}
            }
        }
        Fate::Ended
    }

    /// Sends a frame again and again until the gateway ends the connection; says how often.
    pub(crate) async fn flood(
        &mut self,
        most: usize,
        mut next: impl FnMut(u32) -> Vec<u8>,
    ) -> usize {
        let (mut read, mut write) = self.stream.split();
        let mut sink = vec![0; 64 * 1024];
        let mut sent = 0;
        for round in 0..most {
            let bytes = next(u32::try_from(round).expect("few rounds"));
            // Answers are read meanwhile: a client that does not read is another attack.
            while let Ok(Ok(count)) =
                tokio::time::timeout(std::time::Duration::ZERO, read.read(&mut sink)).await
            {
                if count == 0 {
                    return sent;
                }
            }
            let writing = tokio::time::timeout(PATIENCE, write.write_all(&bytes)).await;
            if !matches!(writing, Ok(Ok(()))) {
                return sent;
            }
            sent += 1;
        }
        // What was sent last may still be on its way.
        loop {
            let reading = tokio::time::timeout(PATIENCE, read.read(&mut sink)).await;
            match reading.expect("the gateway ends the connection") {
                Ok(count) if count > 0 => {}
                _ => return sent,
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head = self.buffer.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let kind = head[3];
        if self.buffer.len() < 9 + length {
            return None;
        }
        let payload = self.buffer.drain(..9 + length).skip(9).collect();
        Some(Frame {
            kind,
            stream,
            payload,
        })
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small payload");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields without compression (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A GET of `/` with these further fields.
pub(crate) fn get(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "shop.example"),
        (":path", "/"),
    ];
    fields.extend(more);
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(u8::try_from(length).expect("less than 127"));
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).expect("less than 128") | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("less than 128"));
}

/// The statuses that HPACK's static table has (RFC 7541, appendix A).
fn status(block: &[u8]) -> Option<u16> {
    let known = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size may stand in front.
    let first = block.iter().find(|byte| **byte & 0x80 != 0)?;
    known
        .get(usize::from(first & 0x7f).checked_sub(8)?)
        .copied()
}
