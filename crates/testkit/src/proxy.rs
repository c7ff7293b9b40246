//! A TCP proxy between a client and a server that fails on demand.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use crate::free_port;

/// What the proxy does with connections, those that are open and those to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// Nobody listens: connecting fails at once. Open connections are reset.
    Refuse,
    /// Connections are accepted and stay open, and no byte goes through in either direction.
    Blackhole,
    /// Every connection is reset, new ones right after they were accepted.
    Reset,
    /// Each piece of data, in both directions, arrives so much later.
    Delay(Duration),
    /// A connection is reset after this many bytes from the client since the mode was set.
    CutRequestAfter(u64),
    /// A connection is reset after this many bytes from the server since the mode was set.
    CutResponseAfter(u64),
}

/// The proxy; it ends, and resets what is open, when the value is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
    accepted: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

enum Order {
    Mode(Mode, oneshot::Sender<()>),
    Sever(oneshot::Sender<()>),
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `upstream`.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = TcpListener::bind(address)
            .await
            .context("the proxy cannot listen")?;
        // One order at a time: each is answered before the next is given.
        let (orders, inbox) = mpsc::channel(1);
        let accepted = Arc::new(AtomicU64::new(0));
        let acceptor = Acceptor {
            address,
            upstream,
            listener: Some(listener),
            mode: watch::Sender::new(Mode::Pass),
            connections: JoinSet::new(),
            accepted: Arc::clone(&accepted),
        };
        let task = tokio::spawn(acceptor.run(inbox));
        Ok(Self {
            address,
            orders,
            accepted,
            task,
        })
    }

    /// Where clients connect to, the same in all modes.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Changes the mode; in force when this returns.
    ///
    /// # Panics
    /// When the port cannot be opened again after [`Mode::Refuse`].
    pub async fn set(&self, mode: Mode) {
        self.order(|done| Order::Mode(mode, done)).await;
    }

    /// Resets the open connections; the mode stays.
    pub async fn sever(&self) {
        self.order(Order::Sever).await;
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, answer) = oneshot::channel();
        assert!(
            self.orders.send(order(done)).await.is_ok(),
            "the proxy runs"
        );
        answer.await.expect("the proxy carries out orders");
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Acceptor {
    address: SocketAddr,
    upstream: SocketAddr,
    listener: Option<TcpListener>,
    mode: watch::Sender<Mode>,
    connections: JoinSet<()>,
    accepted: Arc<AtomicU64>,
}

impl Acceptor {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                client = accept(self.listener.as_ref()) => self.connect(client),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Sever(done) => {
                self.connections.shutdown().await;
                let _ = done.send(());
            }
            Order::Mode(mode, done) => {
                self.mode.send_replace(mode);
                if matches!(mode, Mode::Refuse | Mode::Reset) {
                    self.connections.shutdown().await;
                }
                if mode == Mode::Refuse {
                    self.listener = None;
                } else if self.listener.is_none() {
                    let listener = TcpListener::bind(self.address).await;
                    self.listener = Some(listener.expect("the proxy's port is still reserved"));
                }
                let _ = done.send(());
            }
        }
    }

    fn connect(&mut self, mut client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        // Whenever the stream is dropped half-way the peer sees a reset, as from a dead machine.
        let _ = client.set_zero_linger();
        let mode = self.mode.subscribe();
        if *mode.borrow() == Mode::Reset {
            return;
        }
        let upstream = self.upstream;
        self.connections.spawn(async move {
            // An upstream that refuses shows to the client as a reset.
            let Ok(mut server) = TcpStream::connect(upstream).await else {
                return;
            };
            let _ = server.set_zero_linger();
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            // Borrowed halves: owned ones would say an orderly goodbye when they are dropped.
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let requests = pump(from_client, to_server, mode.clone(), Direction::Request);
            let responses = pump(from_server, to_client, mode, Direction::Response);
            // The first that ends in a cut drops both halves; two orderly ends close in order.
            let _ = tokio::try_join!(requests, responses);
        });
    }
}

/// Pends while nobody listens, and while accepting fails.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    match listener.accept().await {
        Ok((stream, _)) => stream,
        Err(_) => std::future::pending().await,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

/// The connection is to be reset in both directions.
struct Cut;

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut mode: watch::Receiver<Mode>,
    direction: Direction,
) -> Result<(), Cut> {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    loop {
        let count = from.read(&mut buffer).await.map_err(|_| Cut)?;
        if mode.has_changed().unwrap_or(false) {
            passed = 0;
        }
        let now = *mode
            .wait_for(|mode| *mode != Mode::Blackhole)
            .await
            .map_err(|_| Cut)?;
        if let Mode::Delay(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if count == 0 {
            return to.shutdown().await.map_err(|_| Cut);
        }
        let left = match (now, direction) {
            (Mode::CutRequestAfter(bytes), Direction::Request)
            | (Mode::CutResponseAfter(bytes), Direction::Response) => bytes
                .saturating_sub(passed)
                .try_into()
                .unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        to.write_all(&buffer[..count.min(left)])
            .await
            .map_err(|_| Cut)?;
        passed += count as u64;
        if left <= count {
            return Err(Cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A server that sends back what it gets, and a proxy in front of it.
    async fn echo() -> (FaultProxy, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let upstream = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        (FaultProxy::start(upstream).await.expect("a proxy"), server)
    }

    async fn say(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
        stream.write_all(text.as_bytes()).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn connect(proxy: &FaultProxy) -> TcpStream {
        TcpStream::connect(proxy.address())
            .await
            .expect("the proxy listens")
    }

    #[tokio::test]
    async fn what_passes_comes_back_and_an_orderly_end_too() {
        let (proxy, _server) = echo().await;
        let mut client = connect(&proxy).await;
        assert_eq!(say(&mut client, "hello").await.unwrap(), "hello");
        client.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(proxy.accepted(), 1);
    }

    #[tokio::test]
    async fn refusing_closes_the_port_and_passing_opens_it_again() {
        let (proxy, _server) = echo().await;
        let mut open = connect(&proxy).await;
        say(&mut open, "a").await.unwrap();
        proxy.set(Mode::Refuse).await;
        assert!(say(&mut open, "b").await.is_err());
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        proxy.set(Mode::Pass).await;
        assert_eq!(say(&mut connect(&proxy).await, "c").await.unwrap(), "c");
    }

    #[tokio::test]
    async fn a_blackhole_keeps_bytes_until_it_passes_again() {
        let (proxy, _server) = echo().await;
        let mut client = connect(&proxy).await;
        proxy.set(Mode::Blackhole).await;
        let silent = tokio::time::timeout(Duration::from_millis(50), say(&mut client, "x")).await;
        assert!(silent.is_err(), "nothing comes through");
        proxy.set(Mode::Pass).await;
        let mut answer = [0; 1];
        tokio::time::timeout(SOON, client.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&answer, b"x");
    }

    #[tokio::test]
    async fn a_reset_ends_open_and_new_connections() {
        let (proxy, _server) = echo().await;
        let mut open = connect(&proxy).await;
        say(&mut open, "a").await.unwrap();
        proxy.set(Mode::Reset).await;
        let ended = open.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(say(&mut connect(&proxy).await, "b").await.is_err());
    }

    #[tokio::test]
    async fn severing_ends_what_is_open_and_new_connections_pass() {
        let (proxy, _server) = echo().await;
        let mut open = connect(&proxy).await;
        say(&mut open, "a").await.unwrap();
        proxy.sever().await;
        assert!(say(&mut open, "b").await.is_err());
        assert_eq!(say(&mut connect(&proxy).await, "c").await.unwrap(), "c");
    }

    #[tokio::test]
    async fn a_response_is_cut_after_so_many_bytes() {
        let (proxy, _server) = echo().await;
        let mut client = connect(&proxy).await;
        assert_eq!(say(&mut client, "before").await.unwrap(), "before");
        proxy.set(Mode::CutResponseAfter(3)).await;
        client.write_all(b"abcdef").await.unwrap();
        let mut got = Vec::new();
        assert!(client.read_to_end(&mut got).await.is_err());
        assert_eq!(got, b"abc");
    }

    #[tokio::test]
    async fn a_delay_holds_each_piece_back() {
        let (proxy, _server) = echo().await;
        let delay = Duration::from_millis(40);
        proxy.set(Mode::Delay(delay)).await;
        let mut client = connect(&proxy).await;
        let began = std::time::Instant::now();
        say(&mut client, "x").await.unwrap();
        assert!(began.elapsed() >= 2 * delay, "there and back");
    }
}
