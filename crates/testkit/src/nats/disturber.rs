//! A proxy that understands NATS: what it loses, doubles or swaps are whole messages, so that neither
//! side's parser notices, only the reader.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::free_port;

/// What happens to the messages that a client is sent.
#[derive(Clone, Debug)]
pub enum Disturbance {
    /// Nothing.
    Calm,
    /// Those of subjects that begin so are lost.
    Lose(String),
    /// Of those of subjects that begin so, a fourth each is lost, doubled, and held back until after
    /// the next one.
    Chaos(String),
}

/// The proxy; it ends, with its connections, when the value is dropped.
pub struct NatsDisturber {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    disturbance: Disturbance,
    random: StdRng,
    disturbed: u64,
}

impl NatsDisturber {
    /// Listens on a free port of 127.0.0.1 in front of `upstream`; chaos follows the seed.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn start(upstream: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = TcpListener::bind(address).await;
        let listener = listener.context("the proxy cannot listen")?;
        let state = Arc::new(Mutex::new(State {
            disturbance: Disturbance::Calm,
            random: StdRng::seed_from_u64(seed),
            disturbed: 0,
        }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { return };
                        connections.spawn(connect(client, upstream, Arc::clone(&shared)));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// `nats://127.0.0.1:PORT` of the proxy.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// From now on.
    pub fn set(&self, disturbance: Disturbance) {
        lock(&self.state).disturbance = disturbance;
    }

    /// Messages that did not go through as they were sent, so far.
    pub fn disturbed(&self) -> u64 {
        lock(&self.state).disturbed
    }
}

impl Drop for NatsDisturber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(client: TcpStream, upstream: SocketAddr, state: Arc<Mutex<State>>) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    // Whichever side ends first ends both.
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _ = pump(BufReader::new(from_server), to_client, &state) => {}
    }
}

/// What becomes of one message.
enum Fate {
    Passes,
    Lost,
    Doubled,
    Held,
}

impl State {
    fn fate(&mut self, subject: &str) -> Fate {
        let fate = match &self.disturbance {
            Disturbance::Lose(prefix) if subject.starts_with(prefix) => Fate::Lost,
            Disturbance::Chaos(prefix) if subject.starts_with(prefix) => {
                match self.random.random_range(0..4) {
                    0 => Fate::Lost,
                    1 => Fate::Doubled,
                    2 => Fate::Held,
                    _ => Fate::Passes,
                }
            }
            _ => Fate::Passes,
        };
        self.disturbed += u64::from(!matches!(fate, Fate::Passes));
        fate
    }
}

async fn pump(
    mut from: impl AsyncBufReadExt + AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let mut held: Vec<u8> = Vec::new();
    loop {
        let mut frame = Vec::new();
        if from.read_until(b'\n', &mut frame).await? == 0 {
            return Ok(());
        }
        let Some((subject, payload)) = message(&frame) else {
            to.write_all(&frame).await?;
            continue;
        };
        let begin = frame.len();
        frame.resize(begin + payload + 2, 0);
        from.read_exact(&mut frame[begin..]).await?;
        let fate = lock(state).fate(&subject);
        match fate {
            Fate::Passes => to.write_all(&frame).await?,
            Fate::Lost => {}
            Fate::Doubled => to.write_all(&[frame.as_slice(), &frame].concat()).await?,
            Fate::Held => {
                // Two in a row: the first goes on behind the second.
                held.splice(0..0, frame);
                continue;
            }
        }
        to.write_all(&std::mem::take(&mut held)).await?;
    }
}

/// The subject and the payload's length of `MSG subject sid [reply] length` and of
/// `HMSG subject sid [reply] headers length`; none for whatever carries no payload.
fn message(line: &[u8]) -> Option<(String, usize)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let is_message = matches!(words.next()?, "MSG" | "HMSG");
    let subject = words.next().filter(|_| is_message)?.to_owned();
    Some((subject, words.last()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(disturbance: Disturbance, sent: &str) -> String {
        let state = Mutex::new(State {
            disturbance,
            random: StdRng::seed_from_u64(7),
            disturbed: 0,
        });
        let mut got = Vec::new();
        pump(BufReader::new(sent.as_bytes()), &mut got, &state)
            .await
            .expect("memory does not fail");
        String::from_utf8(got).expect("text")
    }

    const SENT: &str = "INFO {}\r\nMSG a.b 1 5\r\nMSG x\r\nHMSG a.c 1 inbox 12 14\r\nNATS/1.0\r\n\r\nhi\r\n\
                        PING\r\nMSG b 2 0\r\n\r\n";

    #[tokio::test]
    async fn what_is_calm_goes_through_as_it_was_sent() {
        assert_eq!(through(Disturbance::Calm, SENT).await, SENT);
    }

    #[tokio::test]
    async fn whole_messages_are_lost_by_their_subject_alone() {
        let left = through(Disturbance::Lose("a.".to_owned()), SENT).await;
        assert_eq!(left, "INFO {}\r\nPING\r\nMSG b 2 0\r\n\r\n");
    }

    #[tokio::test]
    async fn chaos_loses_doubles_and_swaps_and_never_cuts() {
        let mut sent = String::new();
        for number in 100..200 {
            sent += &format!("MSG a 1 3\r\n{number}\r\n");
        }
        let got = through(Disturbance::Chaos("a".to_owned()), &sent).await;
        let numbers: Vec<u32> = got
            .split("MSG a 1 3\r\n")
            .skip(1)
            .map(|payload| payload.trim_end().parse().expect("a whole message"))
            .collect();
        let seen = |number: &u32| numbers.iter().filter(|other| *other == number).count();
        assert!((100..200).any(|number| seen(&number) == 0), "lost");
        assert!((100..200).any(|number| seen(&number) == 2), "doubled");
        assert!(!numbers.is_sorted(), "swapped");
    }
}
