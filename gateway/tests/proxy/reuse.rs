//! Which connections serve another request, on either side, and which do not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::scripted::{Act, Scripted, ok, response};
use crate::stage::{PATIENCE, Stage, upstream};

/// Begins its answer when it has read a head, ends it when it has the body of five bytes, and
/// reads on as if nothing was odd.
struct EarlyBird {
    address: SocketAddr,
    connections: watch::Receiver<usize>,
}

impl EarlyBird {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (count, connections) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                tokio::spawn(answer_early(stream));
            }
        });
        Self {
            address,
            connections,
        }
    }
}

async fn answer_early(mut stream: TcpStream) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = until(&mut stream, &mut buffer, b"\r\n\r\n").await?;
        buffer.drain(..end);
        let first = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nn";
        stream.write_all(first).await.ok()?;
        let end = until(&mut stream, &mut buffer, b"fives").await?;
        buffer.drain(..end);
        stream.write_all(b"o").await.ok()?;
    }
}

/// Where `mark` ends, once it came.
async fn until(stream: &mut TcpStream, buffer: &mut Vec<u8>, mark: &[u8]) -> Option<usize> {
    loop {
        let found = buffer.windows(mark.len()).position(|it| it == mark);
        if let Some(at) = found {
            return Some(at + mark.len());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

#[tokio::test]
async fn an_early_answer_reaches_the_client_and_its_connection_is_not_used_again() {
    let legacy = EarlyBird::start().await;
    let stage = Stage::simple(legacy.address).await;
    for round in 1..=3 {
        let mut client = stage.connect().await;
        client
            .send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n")
            .await;
        let head = tokio::time::timeout(PATIENCE, client.head());
        let head = head.await.expect("it does not wait for the body");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        client.send(b"fives").await;
        assert_eq!(client.exactly(2).await, b"no");
        assert_eq!(*legacy.connections.borrow(), round);
    }
}

#[tokio::test]
async fn an_unsafe_request_does_not_meet_a_connection_that_was_closed_without_a_word() {
    let legacy = Scripted::always(Act::SayAndClose(ok("done"))).await;
    let stage = Stage::simple(legacy.address).await;
    for round in 1..=50 {
        let reply = stage.post("/", "", "order").await;
        assert_eq!(
            (reply.status(), reply.body.as_str()),
            (200, "done"),
            "{round}"
        );
        legacy.closed(round).await;
    }
    assert_eq!(legacy.connections(), 50);
}

/// How long such a connection rests.
const REST: Duration = Duration::from_millis(200);

/// Servers that refuse without having read the body close, and some do not say so: who is quick enough
/// would send the next request into the closing.
#[tokio::test]
async fn a_connection_that_may_be_closing_after_a_refusal_rests() {
    let refusal = response("422 Unprocessable Content", "text/plain", "no");
    let legacy = Scripted::always(Act::Say(refusal)).await;
    let config = format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    );
    let stage = loop {
        let stage = Stage::single(&config).await;
        let (started, before) = (Instant::now(), legacy.connections());
        for _ in 0..2 {
            assert_eq!(stage.post("/", "", "order").await.status(), 422);
        }
        // On a busy machine the rest may be over before the second one comes: then once more.
        if started.elapsed() < REST {
            assert_eq!(legacy.connections(), before + 2);
            break stage;
        }
    };
    // What had no body is refused without a doubt.
    let before = legacy.connections();
    for _ in 0..20 {
        assert_eq!(stage.get("/", "").await.status(), 422);
    }
    assert!(legacy.connections() < before + 20);
}

#[tokio::test]
async fn a_refusal_that_leaves_a_body_unread_says_that_it_ends_the_connection() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/there\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let mut client = stage.connect().await;
    // Without a body there is nothing in the way of the next request.
    let reply = client.ask("GET /none HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((reply.status(), reply.header("connection")), (404, None));
    client
        .send(b"POST /none HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n")
        .await;
    let reply = client.reply(false).await;
    assert_eq!(
        (reply.status(), reply.header("connection")),
        (404, Some("close"))
    );
    assert!(client.rest().await.is_empty());
}
