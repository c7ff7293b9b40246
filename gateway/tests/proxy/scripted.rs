//! An upstream that does what its test says and remembers what it saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What an upstream does with a request whose head (and body, as far as it is framed by a length
/// or chunks) it has read.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Writes these bytes and reads the next request.
    Say(String),
    /// Writes these bytes and closes.
    SayAndClose(String),
    /// Closes without an answer; a reset where bytes are left unread.
    Close,
    /// Reads nothing more and says nothing until the test ends.
    Hang,
    /// Confirms an upgrade and sends back every byte that comes.
    Tunnel,
    /// Writes the first part, then the second one once [`Scripted::release`] was called.
    SayInTwo(String, String),
    /// Writes as many bytes as it can of a body of this length.
    Flood(u64),
}

/// A running upstream.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    acts: Mutex<Acts>,
    seen: Mutex<Vec<Seen>>,
    count: watch::Sender<usize>,
    released: watch::Sender<bool>,
    written: watch::Sender<u64>,
    connections: watch::Sender<usize>,
    closed: watch::Sender<usize>,
}

#[derive(Debug)]
struct Acts {
    /// The next requests', in order.
    queue: std::collections::VecDeque<Act>,
    /// Every further one's.
    rest: Act,
}

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Scripted {
    /// An upstream that always does the same.
    pub(crate) async fn always(act: Act) -> Self {
        Self::script([], act).await
    }

    /// An upstream at an address that was [`Scripted::absent`] before.
    pub(crate) async fn at(address: SocketAddr, act: Act) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .expect("the port is still free");
        Self::on(listener, [], act)
    }

    /// An upstream that does one thing after the other, and then always the last.
    pub(crate) async fn script(acts: impl IntoIterator<Item = Act>, rest: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, acts, rest)
    }

    fn on(listener: TcpListener, acts: impl IntoIterator<Item = Act>, rest: Act) -> Self {
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            acts: Mutex::new(Acts {
                queue: acts.into_iter().collect(),
                rest,
            }),
            seen: Mutex::default(),
            count: watch::Sender::new(0),
            released: watch::Sender::new(false),
            written: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            closed: watch::Sender::new(0),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.send_modify(|count| *count += 1);
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    serve(stream, &state).await;
                    state.closed.send_modify(|count| *count += 1);
                });
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    /// A plain 200 with this body.
    pub(crate) async fn saying(body: &str) -> Self {
        Self::always(Act::Say(ok(body))).await
    }

    /// An address that nobody listens on.
    pub(crate) async fn absent() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("an address")
    }

    /// From now on it does this.
    pub(crate) fn now(&self, act: Act) {
        self.state
            .acts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .rest = act;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn count(&self) -> usize {
        *self.state.count.borrow()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.borrow()
    }

    /// Waits until it has seen so many requests.
    pub(crate) async fn saw(&self, count: usize) {
        reaches(&self.state.count, count).await;
    }

    /// Waits until it has closed so many connections.
    pub(crate) async fn closed(&self, count: usize) {
        reaches(&self.state.closed, count).await;
    }

    /// Lets [`Act::SayInTwo`] go on.
    pub(crate) fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// How many bytes of a flood went out.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.state.written.subscribe()
    }
}

async fn reaches(counted: &watch::Sender<usize>, count: usize) {
    let mut counted = counted.subscribe();
    let waiting = counted.wait_for(|counted| *counted >= count);
    tokio::time::timeout(crate::stage::PATIENCE, waiting)
        .await
        .expect("the upstream comes to it in time")
        .expect("the upstream lives");
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn next(&self) -> Act {
        let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        acts.queue.pop_front().unwrap_or_else(|| acts.rest.clone())
    }

    fn peek(&self) -> Act {
        let acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        acts.queue.front().unwrap_or(&acts.rest).clone()
    }
}

/// A 200 with a body of known length.
pub(crate) fn ok(body: &str) -> String {
    response("200 OK", "text/plain", body)
}

/// A response with a body of known length.
pub(crate) fn response(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn serve(mut stream: TcpStream, state: &State) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut stream, &mut buffer, state).await {
        state
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        let act = state.next();
        state.count.send_modify(|count| *count += 1);
        if perform(act, &mut stream, state).await.is_none() {
            return;
        }
    }
}

/// `None` when the connection is over.
async fn perform(act: Act, stream: &mut TcpStream, state: &State) -> Option<()> {
    match act {
        Act::Say(text) => stream.write_all(text.as_bytes()).await.ok(),
        Act::SayAndClose(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            None
        }
        Act::Close => None,
        Act::Hang => {
            std::future::pending::<()>().await;
            None
        }
        Act::Tunnel => {
            let confirm = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                           upgrade: echo\r\n\r\n";
            stream.write_all(confirm.as_bytes()).await.ok()?;
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.ok()?;
            None
        }
        Act::SayInTwo(first, second) => {
            stream.write_all(first.as_bytes()).await.ok()?;
            state
                .released
                .subscribe()
                .wait_for(|released| *released)
                .await
                .ok()?;
            stream.write_all(second.as_bytes()).await.ok()
        }
        Act::Flood(length) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            let chunk = vec![b'x'; 64 * 1024];
            let mut left = length;
            while left > 0 {
                let size = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
                let wrote = stream.write(&chunk[..size]).await.ok()?;
                left -= wrote as u64;
                state
                    .written
                    .send_modify(|written| *written += wrote as u64);
            }
            Some(())
        }
    }
}

/// Reads a head, and the body that its length or chunks announce.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, state: &State) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    buffer.drain(..head_end);
    let mut seen = Seen {
        head,
        body: Vec::new(),
    };
    if matches!(state.peek(), Act::Hang) {
        return Some(seen);
    }
    if let Some(length) = seen.header("content-length").and_then(|it| it.parse().ok()) {
        while buffer.len() < length {
            fill(stream, buffer).await?;
        }
        seen.body = buffer.drain(..length).collect();
    } else if seen.header("transfer-encoding").is_some() {
        // The chunks are kept as they came, trailers included.
        let end = loop {
            if let Some(end) = chunks_end(buffer) {
                break end;
            }
            fill(stream, buffer).await?;
        };
        seen.body = buffer.drain(..end).collect();
    }
    Some(seen)
}

/// Where the chunks at the beginning of the buffer end, once they are all there.
fn chunks_end(buffer: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&buffer[at..], b"\r\n")?;
        let size = std::str::from_utf8(&buffer[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?, 16).ok()?;
        if size == 0 {
            // The trailers' last line is empty; it may be the only one.
            let end = find(&buffer[at + line..], b"\r\n\r\n")?;
            return Some(at + line + end + 4);
        }
        at += line + 2 + size + 2;
        buffer.get(at..)?;
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(buffer).await {
        Ok(read) if read > 0 => Some(()),
        _ => None,
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
