//! An upstream that goes through its steps once, and behaves ever after.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does next with the first connection's request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Does what follows once a request begins to come, before it has read any of it. (Who speaks before
    /// anything was sent may be heard as an answer or as noise.)
    Early,
    Say(&'static [u8]),
    /// The same again and again.
    Repeat(&'static [u8], usize),
    /// Says nothing more and keeps the connection.
    Stall,
    Close,
    Reset,
}

pub(super) struct Wild {
    pub(super) address: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl Wild {
    pub(super) async fn start(steps: &'static [Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_first = Arc::new(AtomicBool::new(true));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let is_first = Arc::clone(&is_first);
                tokio::spawn(async move {
                    let _ = serve(stream, steps, &is_first).await;
                });
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Wild {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    steps: &[Step],
    is_first: &AtomicBool,
) -> std::io::Result<()> {
    if is_first.swap(false, Ordering::SeqCst) {
        if matches!(steps.first(), Some(Step::Early)) {
            stream.peek(&mut [0]).await?;
        } else {
            read_head(&mut stream).await?;
        }
        for step in steps {
            match step {
                Step::Early => {}
                Step::Say(bytes) => stream.write_all(bytes).await?,
                Step::Repeat(bytes, count) => {
                    for _ in 0..*count {
                        stream.write_all(bytes).await?;
                    }
                }
                Step::Stall => std::future::pending().await,
                Step::Close => return Ok(()),
                Step::Reset => {
                    return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
            }
        }
    }
    loop {
        read_head(&mut stream).await?;
        let clean = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nclean";
        stream.write_all(clean).await?;
    }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await?);
    }
    Ok(())
}
