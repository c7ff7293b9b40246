//! Streams of one HTTP/2 connection.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::RngExt;
use tokio::net::TcpStream;

use super::{Asked, Client, LOST};

/// What is asked at a time.
const STREAMS: usize = 8;

impl Client {
    /// Some streams on a connection of their own; one of them is given up.
    pub(super) async fn multiplexed(&mut self) {
        let started = Instant::now();
        let connected = async {
            let stream = TcpStream::connect(self.address).await;
            let stream = TokioIo::new(stream.map_err(|error| error.to_string())?);
            let handshake = http2::handshake(TokioExecutor::new(), stream).await;
            handshake.map_err(|error| format!("{error:?}"))
        };
        let (sender, connection) = match connected.await {
            Ok(connected) => connected,
            Err(error) => return self.excuse(started, format!("a connection: {error}")),
        };
        // Whoever waits for an answer gets the error, too.
        tokio::spawn(connection);
        let all: Vec<Asked> = (0..STREAMS).map(|_| self.asked()).collect();
        let given_up = self.random.random_range(0..STREAMS);
        let mut streams = FuturesUnordered::new();
        for (number, asked) in all.into_iter().enumerate() {
            let (this, mut sender) = (&*self, sender.clone());
            streams.push(async move {
                let what = format!("stream {number} {}", asked.request.uri());
                let asking = async {
                    let answer = sender.send_request(asked.request).await;
                    this.read(answer.map_err(|error| format!("{error:?}"))?)
                        .await
                };
                if number == given_up {
                    tokio::time::timeout(Duration::from_millis(1), asking)
                        .await
                        .ok();
                    return this.tally.given_up();
                }
                let came = tokio::time::timeout(LOST, asking).await;
                let came = came.unwrap_or_else(|_| Err("nothing came".to_owned()));
                this.judge(started, &what, &came, &asked.answer);
            });
        }
        while streams.next().await.is_some() {}
    }
}
