//! One caller on one connection of HTTP/1.1, as cheap as it can be: what makes the load shares the
//! processors with what is measured.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

/// An answer in full.
const MAX_ANSWER: usize = 64 * 1024;

type Next = Box<dyn FnMut(u64) -> String + Send>;

/// Somebody who begins a saga as soon as the last one has ended.
pub(crate) struct Caller {
    address: String,
    connection: Option<TcpStream>,
    next: Next,
    number: u64,
    /// What an answer of a saga that ended well holds.
    good: &'static str,
}

/// How long sagas took.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) done: Vec<Duration>,
    pub(crate) failed: usize,
    /// The first of them.
    pub(crate) complaint: Option<String>,
}

impl Times {
    pub(crate) fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.failed += other.failed;
        self.complaint = self.complaint.take().or(other.complaint);
    }

    /// In milliseconds.
    pub(crate) fn at(&mut self, part: f64) -> f64 {
        self.done.sort_unstable();
        let place = ((self.done.len() - 1) as f64 * part) as usize;
        self.done[place].as_secs_f64() * 1e3
    }
}

/// A request of its own, ready to be written.
pub(crate) fn post(host: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n" + body
}

impl Caller {
    pub(crate) fn new(
        address: String,
        good: &'static str,
        next: impl FnMut(u64) -> String + Send + 'static,
    ) -> Self {
        Self {
            address,
            connection: None,
            next: Box::new(next),
            number: 0,
            good,
        }
    }

    /// Calls until the end; what ended after `begin` and before `end` counts, whenever it began: what
    /// takes long would else be counted less often.
    pub(crate) async fn work(
        mut self,
        begin: Instant,
        end: Instant,
    ) -> anyhow::Result<(Self, Times)> {
        let mut times = Times::default();
        loop {
            let began = Instant::now();
            if began >= end {
                return Ok((self, times));
            }
            let answer = self.call().await?;
            let is_good = answer.starts_with("HTTP/1.1 200") && answer.contains(self.good);
            let ended = Instant::now();
            if ended < begin || ended >= end {
                continue;
            }
            if is_good {
                times.done.push(ended - began);
            } else {
                times.failed += 1;
                times.complaint.get_or_insert(answer);
            }
        }
    }

    async fn call(&mut self) -> anyhow::Result<String> {
        self.number += 1;
        let request = (self.next)(self.number);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = TcpStream::connect(&self.address)
                    .await
                    .with_context(|| self.address.clone())?;
                connection.set_nodelay(true)?;
                connection
            }
        };
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(2048);
        while !is_whole(&answer) {
            if connection.read_buf(&mut answer).await? == 0 {
                bail!("closed after {:?}", String::from_utf8_lossy(&answer));
            }
            if answer.len() > MAX_ANSWER {
                bail!("an answer has no end");
            }
        }
        self.connection = Some(connection);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// Whether the body is there up to its end, by its length or its last chunk.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let body = &answer[end + 4..];
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    match length.and_then(|text| text.trim().parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => body.ends_with(b"0\r\n\r\n"),
    }
}
