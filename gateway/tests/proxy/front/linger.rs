//! An answer that comes before the request is over is heard, not lost to a reset (RFC 9112 §9.6).

use crate::scripted::Scripted;
use crate::stage::{Stage, upstream};

/// More than the sockets' buffers take, so that the client is still sending when it is refused.
const UPLOAD: usize = 6 * 1024 * 1024;

async fn small(legacy: &Scripted) -> Stage {
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\nmax_body = 1000\n",
        upstream("legacy", legacy.address, "")
    ))
    .await
}

#[tokio::test]
async fn a_client_that_reads_only_after_its_upload_hears_the_refusal() {
    let legacy = Scripted::saying("hello").await;
    let stage = small(&legacy).await;
    let upload = vec![b'x'; UPLOAD];
    for round in 0..5 {
        let mut client = stage.connect().await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {UPLOAD}\r\n\r\n");
        client.send(head.as_bytes()).await;
        client.send(&upload).await;
        let reply = client.reply(false).await;
        assert_eq!(reply.status(), 413, "round {round}");
        assert_eq!(reply.code(), "body_too_large");
        assert!(client.rest().await.is_empty());
    }
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn so_does_one_whose_chunks_turn_out_to_be_too_many() {
    let legacy = Scripted::saying("hello").await;
    let stage = small(&legacy).await;
    let mut client = stage.connect().await;
    client
        .send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let chunk = [b"10000\r\n", vec![b'x'; 0x10000].as_slice(), b"\r\n"].concat();
    client.send(&chunk.repeat(UPLOAD / 0x10000)).await;
    assert_eq!(client.reply(false).await.status(), 413);
}

#[tokio::test]
async fn so_does_one_whose_request_is_malformed() {
    let legacy = Scripted::saying("hello").await;
    let stage = small(&legacy).await;
    for head in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST /#a HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 9999999\r\n\r\n",
    ] {
        let mut client = stage.connect().await;
        client.send(head.as_bytes()).await;
        client.send(&vec![b'x'; UPLOAD]).await;
        assert_eq!(client.reply(false).await.status(), 400, "{head}");
    }
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn a_client_that_never_stops_sending_is_not_listened_to_for_ever() {
    let legacy = Scripted::saying("hello").await;
    let stage = small(&legacy).await;
    let mut client = stage.connect().await;
    let length = 1_u64 << 40;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    client.send(head.as_bytes()).await;
    let sent = client.send_until_stalled(1 << 30).await;
    assert!(sent < 1 << 28, "{sent} bytes were taken");
}
