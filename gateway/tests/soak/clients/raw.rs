//! What no client library does: asking ahead, changing the protocol, leaving in the middle.

use std::io;
use std::time::{Duration, Instant};

use http::StatusCode;
use rand::RngExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{Client, LOST};
use crate::backend::said;

impl Client {
    /// Three requests at once, whose answers come in their order.
    pub(super) async fn pipeline(&mut self) {
        let started = Instant::now();
        let ids: Vec<_> = (0..3)
            .map(|_| format!("{:016x}", self.random.random::<u64>()))
            .collect();
        let line = |id| format!("GET /moved/{id} HTTP/1.1\r\nhost: a\r\nx-user-id: {id}\r\n\r\n");
        let requests: String = ids.iter().map(line).collect();
        let asking = async {
            let mut stream = BufReader::new(TcpStream::connect(self.address).await?);
            stream.write_all(requests.as_bytes()).await?;
            let mut answers = Vec::new();
            for _ in &ids {
                answers.push(answer(&mut stream).await?);
            }
            io::Result::Ok(answers)
        };
        match bounded(asking).await {
            Ok(answers) => {
                for (id, (status, body)) in ids.iter().zip(answers) {
                    let what = format!("pipelined {id}");
                    self.judge(
                        started,
                        &what,
                        &Ok((status, body)),
                        said(id, b"").as_bytes(),
                    );
                }
            }
            Err(error) => self.excuse(started, format!("pipelined {ids:?}: {error}")),
        }
    }

    /// Every byte comes back, however often the configuration changes meanwhile.
    pub(super) async fn tunnel(&mut self, stop: &CancellationToken) {
        let started = Instant::now();
        let (messages, user) = (
            self.random.random_range(1..100),
            self.random.random::<u16>(),
        );
        let using = async {
            let mut stream = BufReader::new(TcpStream::connect(self.address).await?);
            let upgrade = format!(
                "GET /moved/tunnel HTTP/1.1\r\nhost: a\r\nx-user-id: {user}\r\n\
                 connection: upgrade\r\nupgrade: echo\r\n\r\n"
            );
            stream.write_all(upgrade.as_bytes()).await?;
            let (status, _) = head(&mut stream).await?;
            if status != StatusCode::SWITCHING_PROTOCOLS {
                return Err(io::Error::other(format!("answered {status}")));
            }
            for number in 0..messages {
                let message = format!("{user} says {number}\n");
                stream.write_all(message.as_bytes()).await?;
                let mut echo = vec![0; message.len()];
                stream.read_exact(&mut echo).await?;
                if echo != message.as_bytes() {
                    return Err(io::Error::other("another one's bytes"));
                }
                // Stands for people, who pause between what they say.
                let pause = tokio::time::sleep(Duration::from_millis(20));
                if stop.run_until_cancelled(pause).await.is_none() {
                    break;
                }
            }
            Ok(())
        };
        match bounded(using).await {
            Ok(()) => self.tally.answered(),
            Err(error) => self.excuse(started, format!("a tunnel: {error}")),
        }
    }

    /// Begins something, reads a little of what comes, and is gone.
    pub(super) async fn give_up(&mut self) {
        let begun = [
            "",
            "GET /mov",
            "GET /all/x?size=4000000 HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /all/x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nabc",
            "POST /moved/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
            "GET /all/x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nabc",
        ];
        let begun = begun[self.random.random_range(0..begun.len())];
        let patience = Duration::from_millis(self.random.random_range(0..50));
        if let Ok(mut stream) = TcpStream::connect(self.address).await {
            // Whether it comes so far is not what this client is for.
            stream.write_all(begun.as_bytes()).await.ok();
            let mut some = [0; 4096];
            tokio::time::timeout(patience, stream.read_exact(&mut some))
                .await
                .ok();
        }
        self.tally.given_up();
    }
}

async fn bounded<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let ended = tokio::time::timeout(LOST, work).await;
    ended.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// One answer whose length is told.
async fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<(StatusCode, Vec<u8>)> {
    let (status, length) = head(stream).await?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((status, body))
}

/// A head: the status, and the length of what follows.
async fn head(stream: &mut BufReader<TcpStream>) -> io::Result<(StatusCode, usize)> {
    let (mut status, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end().to_ascii_lowercase();
        if text.is_empty() {
            let status = status.ok_or_else(|| io::Error::other("no status line"))?;
            return Ok((status, length));
        }
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        } else if let Some(rest) = text.strip_prefix("http/1.1 ") {
            status = rest.get(..3).and_then(|code| code.parse().ok());
        }
    }
}
