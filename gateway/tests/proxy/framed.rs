//! An upstream that speaks HTTP/2 frame by frame, so that it can say what no library would, and
//! remembers what it saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::stage::PATIENCE;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113 §7.
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the upstream does with a request that is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// 200 with this body.
    Answer(&'static str),
    /// Resets its stream.
    Reset(u32),
    /// 200, these bytes, and then a reset.
    Begin(&'static str, u32),
    /// 200 and these bytes, and never more.
    Pause(&'static str),
    /// Says that it goes, with this last stream and reason, and closes.
    GoAway(u32, u32),
    /// Says that it goes, and answers this request with 200 and this body, and no later one.
    GoAndAnswer(&'static str),
    /// Nothing, not even to pings.
    Freeze,
    /// Nothing.
    Wait,
    /// So many 103, and then 200 with this body.
    Hint(usize, &'static str),
    /// A body without a head.
    Babble,
}

/// A running upstream.
pub(crate) struct Framed {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

struct State {
    acts: Mutex<(std::collections::VecDeque<Does>, Does)>,
    most_streams: u32,
    seen: watch::Sender<Seen>,
}

/// What it saw so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// Those whose client has taken note of the settings.
    pub(crate) settled: usize,
    /// Requests: the beginnings of their heads.
    pub(crate) requests: usize,
    /// Bodies of the requests that were complete.
    pub(crate) bodies: Vec<Vec<u8>>,
    /// The reasons of the resets that came.
    pub(crate) resets: Vec<u32>,
    /// Connections that ended.
    pub(crate) closed: usize,
}

impl Framed {
    pub(crate) async fn always(does: Does) -> Self {
        Self::script([], does, 100).await
    }

    /// One thing after the other, and then always the last; so many streams are allowed.
    pub(crate) async fn script(
        acts: impl IntoIterator<Item = Does>,
        rest: Does,
        most_streams: u32,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            acts: Mutex::new((acts.into_iter().collect(), rest)),
            most_streams,
            seen: watch::Sender::default(),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                state.seen.send_modify(|seen| seen.connections += 1);
                tokio::spawn(async move {
                    let _ = Conversation::new(stream, &state).hold().await;
                    state.seen.send_modify(|seen| seen.closed += 1);
                });
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state.seen.borrow().clone()
    }

    /// Waits until it has seen enough.
    pub(crate) async fn saw(&self, is_enough: impl Fn(&Seen) -> bool) {
        let mut seen = self.state.seen.subscribe();
        let waiting = seen.wait_for(|seen| is_enough(seen));
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(outcome.is_ok(), "it saw {:?}", self.seen());
    }
}

impl Drop for Framed {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Conversation<'a> {
    stream: TcpStream,
    state: &'a State,
    bodies: std::collections::BTreeMap<u32, Vec<u8>>,
    is_frozen: bool,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl<'a> Conversation<'a> {
    fn new(stream: TcpStream, state: &'a State) -> Self {
        Self {
            stream,
            state,
            bodies: std::collections::BTreeMap::new(),
            is_frozen: false,
        }
    }

    async fn hold(mut self) -> std::io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        self.stream.read_exact(&mut preface).await?;
        assert_eq!(preface, PREFACE);
        let mut settings = vec![0, 3];
        settings.extend(self.state.most_streams.to_be_bytes());
        self.write(SETTINGS, 0, 0, &settings).await?;
        loop {
            let frame = self.read().await?;
            if !self.is_frozen && !self.take(frame).await? {
                return Ok(());
            }
        }
    }

    /// False when the connection is over.
    async fn take(&mut self, frame: Frame) -> std::io::Result<bool> {
        let seen = &self.state.seen;
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]).await?,
            SETTINGS => seen.send_modify(|seen| seen.settled += 1),
            PING if frame.flags & ACK == 0 => self.write(PING, ACK, 0, &frame.payload).await?,
            RST_STREAM => {
                let reason = frame.payload.try_into().map(u32::from_be_bytes);
                let reason = reason.expect("four bytes");
                seen.send_modify(|seen| seen.resets.push(reason));
            }
            HEADERS => {
                if self.bodies.insert(frame.stream, Vec::new()).is_none() {
                    seen.send_modify(|seen| seen.requests += 1);
                }
                if frame.flags & END_STREAM != 0 {
                    return self.perform(frame.stream).await;
                }
            }
            DATA => {
                let body = self.bodies.entry(frame.stream).or_default();
                body.extend(frame.payload);
                if frame.flags & END_STREAM != 0 {
                    return self.perform(frame.stream).await;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    async fn perform(&mut self, stream: u32) -> std::io::Result<bool> {
        let body = self.bodies.remove(&stream).unwrap_or_default();
        self.state.seen.send_modify(|seen| seen.bodies.push(body));
        let does = {
            let acts = self.state.acts.lock();
            let (queue, rest) = &mut *acts.unwrap_or_else(PoisonError::into_inner);
            queue.pop_front().unwrap_or(*rest)
        };
        match does {
            Does::Answer(body) => self.answer(stream, body).await?,
            Does::Reset(reason) => self.reset(stream, reason).await?,
            Does::Begin(body, reason) => {
                self.head(stream, "200").await?;
                self.write(DATA, 0, stream, body.as_bytes()).await?;
                self.reset(stream, reason).await?;
            }
            Does::Pause(body) => {
                self.head(stream, "200").await?;
                self.write(DATA, 0, stream, body.as_bytes()).await?;
            }
            Does::GoAway(last, reason) => {
                self.go_away(last, reason).await?;
                // What is still on its way here is read: closing over it would reset the connection,
                // and a reset may overtake the goodbye.
                self.stream.shutdown().await?;
                tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await?;
                return Ok(false);
            }
            Does::GoAndAnswer(body) => {
                self.go_away(stream, NO_ERROR).await?;
                self.answer(stream, body).await?;
                self.is_frozen = true;
            }
            Does::Freeze => self.is_frozen = true,
            Does::Wait => {}
            Does::Hint(count, body) => {
                for _ in 0..count {
                    self.head(stream, "103").await?;
                }
                self.answer(stream, body).await?;
            }
            Does::Babble => self.write(DATA, 0, stream, b"hello").await?,
        }
        Ok(true)
    }

    async fn answer(&mut self, stream: u32, body: &str) -> std::io::Result<()> {
        self.head(stream, "200").await?;
        self.write(DATA, END_STREAM, stream, body.as_bytes()).await
    }

    /// `:status` as a literal that is not indexed (RFC 7541 §6.2.2).
    async fn head(&mut self, stream: u32, status: &str) -> std::io::Result<()> {
        let mut block = vec![0x08, 3];
        block.extend(status.as_bytes());
        self.write(HEADERS, END_HEADERS, stream, &block).await
    }

    async fn reset(&mut self, stream: u32, reason: u32) -> std::io::Result<()> {
        self.write(RST_STREAM, 0, stream, &reason.to_be_bytes())
            .await
    }

    async fn go_away(&mut self, last: u32, reason: u32) -> std::io::Result<()> {
        let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
        self.write(GO_AWAY, 0, 0, &payload).await
    }

    async fn read(&mut self) -> std::io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
            payload,
        })
    }

    async fn write(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a small frame");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).await
    }
}
