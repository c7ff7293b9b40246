//! What one connection carries, and what ends with a stream.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;

use super::stage;
use crate::framed::{CANCEL, Does, Framed, INTERNAL_ERROR, NO_ERROR};
use crate::stage::{PATIENCE, Stage};

#[tokio::test]
async fn exchanges_share_a_connection() {
    let legacy = Framed::always(Does::Wait).await;
    let stage = stage(legacy.address, "").await;
    let mut clients = Vec::new();
    for number in 1..=20 {
        let mut client = stage.connect().await;
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
        if number == 1 {
            legacy.saw(|seen| seen.requests == 1).await;
        }
    }
    legacy.saw(|seen| seen.requests == 20).await;
    assert_eq!(legacy.seen().connections, 1);
}

#[tokio::test]
async fn a_burst_on_no_connection_opens_one() {
    let legacy = Framed::always(Does::Wait).await;
    let stage = stage(legacy.address, "").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = stage.connect().await;
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    legacy.saw(|seen| seen.requests == 20).await;
    assert_eq!(legacy.seen().connections, 1);
}

#[tokio::test]
async fn another_connection_is_opened_when_the_streams_of_one_are_used_up() {
    let legacy = Framed::script([], Does::Wait, 2).await;
    let stage = stage(legacy.address, "").await;
    let mut clients = Vec::new();
    for number in 1..=5 {
        let mut client = stage.connect().await;
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
        legacy.saw(|seen| seen.requests == number).await;
        let connections = number.div_ceil(2);
        legacy.saw(|seen| seen.settled == connections).await;
        assert_eq!(legacy.seen().connections, connections);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_stream_and_no_other() {
    let acts = [Does::Wait, Does::Pause("begun")];
    let legacy = Framed::script(acts, Does::Answer("whole"), 100).await;
    let stage = stage(legacy.address, "").await;
    for number in 1..=2 {
        let mut client = stage.connect().await;
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        legacy.saw(|seen| seen.requests == number).await;
        if number == 2 {
            client.head().await;
        }
        drop(client);
        legacy.saw(|seen| seen.resets.len() == number).await;
    }
    assert_eq!(legacy.seen().resets, [CANCEL, CANCEL]);
    assert!(stage.get("/", "").await.body.contains("whole"));
    assert_eq!(legacy.seen().connections, 1);
    idle(&stage).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_never_ends_well() {
    for reason in [NO_ERROR, CANCEL, INTERNAL_ERROR] {
        let legacy = Framed::script([Does::Begin("half", reason)], Does::Answer("whole"), 9).await;
        let stage = stage(legacy.address, "").await;
        let mut client = stage.connect().await;
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let got = String::from_utf8(client.rest().await).expect("a text");
        assert!(!got.ends_with("0\r\n\r\n"), "{reason}: {got}");
        assert!(stage.get("/", "").await.body.contains("whole"));
        assert_eq!(legacy.seen().connections, 1);
        idle(&stage).await;
    }
}

#[tokio::test]
async fn what_is_no_http_2_is_a_bad_response() {
    for does in [Does::Babble, Does::Hint(100_000, "late")] {
        let legacy = Framed::script([does], Does::Answer("whole"), 9).await;
        let stage = stage(legacy.address, "").await;
        let reply = stage.get("/", "").await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (502, "upstream_bad_response"),
            "{does:?}"
        );
        assert!(stage.get("/", "").await.body.contains("whole"));
        idle(&stage).await;
    }
}

#[tokio::test]
async fn a_few_interim_answers_are_passed_over() {
    let legacy = Framed::always(Does::Hint(3, "whole")).await;
    let stage = stage(legacy.address, "").await;
    let reply = stage.get("/", "").await;
    assert_eq!((reply.status(), reply.body.contains("whole")), (200, true));
}

#[tokio::test]
async fn a_silent_exchange_is_cancelled_and_the_connection_no_longer_trusted() {
    let legacy = Framed::script([Does::Wait], Does::Answer("whole"), 9).await;
    let stage = stage(legacy.address, "timeout = \"100ms\"").await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (504, "upstream_timeout")
    );
    legacy.saw(|seen| seen.resets == [CANCEL]).await;
    assert!(stage.get("/", "").await.body.contains("whole"));
    assert_eq!(legacy.seen().connections, 2);
    legacy.saw(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_connection_on_which_no_ping_is_answered_is_given_up() {
    let legacy = Framed::script([Does::Freeze], Does::Answer("whole"), 9).await;
    let settings = "timeout = \"10m\"\nidle_timeout = \"200ms\"";
    let stage = stage(legacy.address, settings).await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert!(stage.get("/", "").await.body.contains("whole"));
}

#[tokio::test]
async fn an_upstream_of_http_1_is_a_bad_response_to_h2c() {
    let legacy = crate::scripted::Scripted::always(crate::scripted::Act::Say(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_owned(),
    ))
    .await;
    let stage = stage(legacy.address, "timeout = \"5s\"").await;
    let reply = stage.get("/", "").await;
    assert_eq!(reply.status(), 502);
}

#[tokio::test]
async fn what_belongs_to_http_1_stays_there_and_trailers_pass_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (seen_by, seen) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut connection = h2::server::handshake(stream).await.expect("a preface");
        let mut seen_by = Some(seen_by);
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let seen_by = seen_by.take().expect("one request");
            tokio::spawn(async move {
                let (parts, mut body) = request.into_parts();
                let mut read = Vec::new();
                while let Some(data) = body.data().await {
                    let data = data.expect("a whole body");
                    let _ = body.flow_control().release_capacity(data.len());
                    read.extend(data);
                }
                let trailers = body.trailers().await.expect("whole trailers");
                let head = Response::builder()
                    .header("trailer", "x-sum")
                    .header("x-kind", "answer");
                let mut send = respond.send_response(head.body(()).expect("a head"), false);
                let send = send.as_mut().expect("an open stream");
                send.send_data(Bytes::from_static(b"hello"), false)
                    .expect("room");
                let mut sum = HeaderMap::new();
                sum.insert("x-sum", "5".parse().expect("a value"));
                send.send_trailers(sum).expect("an open stream");
                let _ = seen_by.send((Request::from_parts(parts, read), trailers));
            });
        }
    });
    let stage = stage(address, "").await;
    let mut client = stage.connect().await;
    client
        .send(
            b"POST /a?b=c HTTP/1.1\r\nhost: shop.example:81\r\nte: trailers, deflate\r\n\
              connection: te, x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\ncookie: a=b\r\ncookie: c=d\r\n\
              transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-late: yes\r\n\r\n",
        )
        .await;
    let reply = client.reply(false).await;
    assert_eq!(
        (reply.status(), reply.header("x-kind")),
        (200, Some("answer"))
    );
    assert!(reply.body.contains("hello"), "{reply:?}");
    assert!(reply.body.ends_with("x-sum: 5\r\n\r\n"), "{reply:?}");
    let (request, trailers) = tokio::time::timeout(PATIENCE, seen)
        .await
        .expect("in time")
        .expect("a request");
    assert_eq!(request.uri(), "http://shop.example:81/a?b=c");
    assert_eq!(request.body(), b"abc");
    let trailers = trailers.expect("trailers");
    assert_eq!(
        trailers.get("x-late").map(|it| it.as_bytes()),
        Some(&b"yes"[..])
    );
    for absent in [
        "connection",
        "host",
        "keep-alive",
        "transfer-encoding",
        "x-hop",
    ] {
        assert!(!request.headers().contains_key(absent), "{request:?}");
    }
    assert_eq!(request.headers()["te"], "trailers");
}

#[tokio::test]
async fn the_health_check_speaks_the_same_protocol() {
    let legacy = Framed::always(Does::Reset(INTERNAL_ERROR)).await;
    let stage = stage(
        legacy.address,
        "health = { path = \"/health\", interval = \"20ms\" }",
    )
    .await;
    legacy.saw(|seen| seen.requests >= 3).await;
    let is_out = || !stage.data.upstreams().snapshot()[0].endpoints[0].healthy;
    let taken_out = async {
        while !is_out() {
            let before = legacy.seen().requests;
            legacy.saw(|seen| seen.requests > before).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken_out)
        .await
        .expect("in time");
    // Each check closes its connection.
    legacy.saw(|seen| seen.closed >= 2).await;
}

/// A large upload and a large answer, each slower than the other side for a while.
#[tokio::test]
async fn large_bodies_flow_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut connection = h2::server::handshake(stream).await.expect("a preface");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                let mut body = request.into_body();
                let head = Response::new(());
                let mut send = respond.send_response(head, false).expect("an open stream");
                while let Some(Ok(data)) = body.data().await {
                    let length = data.len();
                    send.send_data(data, false).expect("an open stream");
                    let _ = body.flow_control().release_capacity(length);
                }
                send.send_data(Bytes::new(), true).expect("an open stream");
            });
        }
    });
    let stage = Arc::new(stage(address, "").await);
    let piece = "x".repeat(100_000);
    let mut client = stage.connect().await;
    client
        .send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut echoed = 0;
    for _ in 0..30 {
        client.send(piece.as_bytes()).await;
        while echoed < 1 {
            echoed += client.exactly(1).await.len();
        }
    }
    let rest = client.until(b"0\r\n\r\n").await;
    let content = rest.iter().filter(|byte| **byte == b'x').count();
    assert!(content > 2_990_000, "{content} bytes came back");
}

/// Waits until no exchange is under way.
async fn idle(stage: &Stage) {
    let is_idle = || {
        let upstream = &stage.data.upstreams().snapshot()[0];
        upstream.in_flight == 0 && upstream.endpoints[0].in_flight == 0
    };
    let waiting = async {
        while !is_idle() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("nothing is under way in the end");
}
