//! A gateway on a free port, and clients that speak to it byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use gateway::config::Language;
use gateway::control::Control;
use gateway::reload::Step;
use gateway::server::{DataPlane, Listeners};
use gateway::{Config, stats::RouteSnapshot};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what must happen. It never waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running data plane.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) control: Arc<Control>,
    pub(crate) data: DataPlane,
    pub(crate) shutdown: Shutdown,
}

/// One client connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as it came over the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Stage {
    /// A gateway with this configuration; `listen` and `admin_listen` are added.
    pub(crate) async fn open(text: &str) -> Self {
        Self::with_workers(text, 2).await
    }

    /// A gateway all of whose clients share their connections to upstreams.
    pub(crate) async fn single(text: &str) -> Self {
        Self::with_workers(text, 1).await
    }

    async fn with_workers(text: &str, workers: usize) -> Self {
        let config = parse(text);
        let control = Control::open(config, None).await.expect("a control plane");
        let control = Arc::new(control);
        let shutdown = Shutdown::new();
        let listeners =
            Listeners::bind_for(([127, 0, 0, 1], 0).into(), workers).expect("a free port");
        let data = DataPlane::start(Arc::clone(&control), listeners, &shutdown);
        let data = data.expect("a data plane");
        Self {
            address: data.address(),
            control,
            data,
            shutdown,
        }
    }

    /// A gateway with one route `/` to legacy.
    pub(crate) async fn simple(legacy: SocketAddr) -> Self {
        Self::open(&format!(
            "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
            upstream("legacy", legacy, "")
        ))
        .await
    }

    /// A gateway with one route `/` whose flag sends everybody to the candidate.
    pub(crate) async fn moved(legacy: SocketAddr, candidate: SocketAddr, more: &str) -> Self {
        Self::open(&format!(
            "{}\n{}\n[flags.move]\npercent = 100.0\nsubject = [\"header:x-user-id\"]\n\
             [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
             candidate = \"quiz\"\nflag = \"move\"\nfallback = true\n{more}",
            upstream("legacy", legacy, ""),
            upstream("quiz", candidate, ""),
        ))
        .await
    }

    /// Puts another configuration in force, as an edit of the file would.
    pub(crate) async fn reload(&self, text: &str) {
        let config = parse(text);
        self.data.follow(&config, Step::Prepare);
        self.control.apply(config.clone()).await;
        self.data.follow(&config, Step::Settle);
    }

    pub(crate) async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("the gateway accepts");
        stream.set_nodelay(true).expect("a TCP socket");
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Reply {
        self.connect().await.ask(request).await
    }

    /// A GET with these further header lines, each with its line break.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> Reply {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n"
        ))
        .await
    }

    /// A POST with this body and these further header lines.
    pub(crate) async fn post(&self, path: &str, headers: &str, body: &str) -> Reply {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {length}\r\n\
             {headers}\r\n{body}"
        ))
        .await
    }

    pub(crate) fn stats(&self, route: &str) -> RouteSnapshot {
        let all = self.data.stats().snapshot();
        all.into_iter()
            .find(|(id, _)| id.as_str() == route)
            .map(|(_, stats)| stats)
            .expect("a route of this name")
    }

    /// What a scrape would show of the data plane now.
    pub(crate) fn metrics(&self) -> String {
        let metrics = chassis::Metrics::new();
        metrics.register(|registry| {
            registry.register_collector(Box::new(Arc::clone(self.data.stats())));
            registry.register_collector(Box::new(Arc::clone(self.data.upstreams())));
        });
        metrics.encode().expect("a text")
    }

    /// Fails where a series is not there with this value.
    pub(crate) fn shows(&self, series: &str, value: &str) {
        let metrics = self.metrics();
        let line = format!("\n{series} {value}\n");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Client {
    /// Sends a request and reads one whole response.
    pub(crate) async fn ask(&mut self, request: &str) -> Reply {
        self.send(request.as_bytes()).await;
        let is_head = request.starts_with("HEAD ");
        self.reply(is_head).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // A gateway that has already refused may have closed; what it said is still to be read.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends some bytes, waits a moment, and says whether the gateway has said nothing yet and keeps
    /// the connection. What it says stays to be read.
    pub(crate) async fn is_open(&mut self, bytes: &[u8]) -> bool {
        if self.stream.write_all(bytes).await.is_err() {
            return false;
        }
        let moment = Duration::from_millis(50);
        let reading = self.stream.read_buf(&mut self.buffer);
        tokio::time::timeout(moment, reading).await.is_err()
    }

    /// Sends so many bytes, or as many as are taken before nothing moves any more.
    pub(crate) async fn send_until_stalled(&mut self, length: usize) -> usize {
        let chunk = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < length {
            let size = chunk.len().min(length - sent);
            let writing = self.stream.write(&chunk[..size]);
            match tokio::time::timeout(Duration::from_millis(300), writing).await {
                Ok(Ok(wrote)) => sent += wrote,
                _ => break,
            }
        }
        sent
    }

    /// Reads one whole response; `without_body` for the answer to a HEAD.
    pub(crate) async fn reply(&mut self, without_body: bool) -> Reply {
        let head = self.head().await;
        let mut reply = Reply {
            head,
            body: String::new(),
        };
        if without_body || reply.status() == 204 || reply.status() == 304 {
            return reply;
        }
        let body = if let Some(length) = reply.header("content-length") {
            let length = length.parse().expect("a length");
            self.exactly(length).await
        } else if reply.header("transfer-encoding").is_some() {
            self.until(b"\r\n\r\n").await
        } else {
            self.rest().await
        };
        reply.body = String::from_utf8_lossy(&body).into_owned();
        reply
    }

    /// Reads a response's head.
    pub(crate) async fn head(&mut self) -> String {
        String::from_utf8_lossy(&self.until(b"\r\n\r\n").await).into_owned()
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill().await, "the connection ended within a body");
        }
        self.buffer.drain(..length).collect()
    }

    /// Everything until the gateway closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    pub(crate) async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self
                .buffer
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                return self.buffer.drain(..at + end.len()).collect();
            }
            let so_far = String::from_utf8_lossy(&self.buffer).into_owned();
            assert!(self.fill().await, "the connection ended after {so_far:?}");
        }
    }

    async fn fill(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.buffer);
        let read = tokio::time::timeout(PATIENCE, read).await;
        matches!(read.expect("the gateway answers in time"), Ok(read) if read > 0)
    }
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).unwrap_or_default();
        status.trim().parse().expect("a status line")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The problem's `code`.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("a problem");
        body["code"].as_str().expect("a code").to_owned()
    }
}

/// A table `[upstreams.NAME]` with one endpoint and these further lines.
pub(crate) fn upstream(name: &str, address: SocketAddr, more: &str) -> String {
    format!("[upstreams.{name}]\nendpoints = [\"http://{address}\"]\n{more}\n")
}

fn parse(text: &str) -> Config {
    let text = format!("listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n{text}");
    Config::from_text(&text, Language::Toml).expect("a valid configuration")
}
