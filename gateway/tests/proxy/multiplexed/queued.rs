//! What is queued behind others on a shared connection while its time runs out.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::scripted::Scripted;
use crate::stage::{PATIENCE, Stage, upstream};

/// An upstream that takes whatever is sent, reads nothing from its first request on until it is told
/// to, and counts the requests that came.
struct Asleep {
    address: SocketAddr,
    wake: Arc<Notify>,
    requests: watch::Receiver<usize>,
}

impl Asleep {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (wake, (count, requests)) = (Arc::new(Notify::new()), watch::channel(0));
        let woken = Arc::clone(&wake);
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut connection = h2::server::Builder::new()
                .initial_window_size(1 << 30)
                .initial_connection_window_size(1 << 30)
                .handshake::<_, bytes::Bytes>(stream)
                .await
                .expect("a preface");
            let mut held = Vec::new();
            while let Some(Ok(request)) = connection.accept().await {
                held.push(request);
                count.send_replace(held.len());
                if held.len() == 1 {
                    woken.notified().await;
                }
            }
        });
        Self {
            address,
            wake,
            requests,
        }
    }

    async fn saw(&self, count: usize) {
        let mut requests = self.requests.clone();
        let waiting = requests.wait_for(|seen| *seen >= count);
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it sees the request in time")
            .expect("the upstream lives");
    }
}

/// The head is handed over only after its time was over: whoever asked the other side, or forgot the
/// request's key, would have it done twice.
#[tokio::test]
async fn what_is_queued_when_its_time_is_over_may_still_arrive() {
    let candidate = Asleep::start().await;
    let legacy = Scripted::saying("legacy").await;
    let stage = Stage::single(&format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\nsubject = [\"header:x-user-id\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         candidate = \"quiz\"\nflag = \"move\"\nfallback = true\n",
        upstream("legacy", legacy.address, ""),
        upstream(
            "quiz",
            candidate.address,
            "protocol = \"h2c\"\ntimeout = \"2s\"\nidle_timeout = \"10m\""
        ),
    ))
    .await;
    let length = 256 << 20;
    let mut first = stage.connect().await;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    first.send(head.as_bytes()).await;
    let sent = first.send_until_stalled(length).await;
    assert!(sent < length, "the connection takes no more");
    candidate.saw(1).await;
    let reply = stage.post("/", "x-user-id: a\r\n", "order").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (504, "upstream_timeout")
    );
    candidate.wake.notify_one();
    candidate.saw(2).await;
    assert_eq!(legacy.count(), 0, "it was done once");
}
