//! Messages in both directions: framing, streaming, backpressure, upgrades.

use crate::scripted::{Act, Scripted, ok};
use crate::stage::{Stage, upstream};

#[tokio::test]
async fn a_request_and_its_answer_pass_with_their_bodies() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let reply = stage.post("/a/b?c=d", "x-own: 1\r\n", "question").await;
    assert_eq!((reply.status(), reply.body.as_str()), (200, "hello"));
    let seen = &legacy.seen()[0];
    assert_eq!(seen.line(), "POST /a/b?c=d HTTP/1.1");
    assert_eq!(seen.body, b"question");
    assert_eq!(seen.header("x-own"), Some("1"));
    assert_eq!(seen.header("host"), Some("shop.example"));
}

#[tokio::test]
async fn connections_are_kept_alive_on_both_sides() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    for _ in 0..5 {
        let reply = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(reply.status(), 200);
    }
    assert_eq!(legacy.count(), 5);
    assert_eq!(legacy.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let legacy = Scripted::script([Act::Say(ok("one")), Act::Say(ok("two"))], Act::Close).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send(request.repeat(2).as_bytes()).await;
    assert_eq!(client.reply(false).await.body, "one");
    assert_eq!(client.reply(false).await.body, "two");
}

#[tokio::test]
async fn an_http_1_0_client_gets_an_answer_that_it_can_read() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let legacy = Scripted::always(Act::Say(chunked.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    client.send(b"GET / HTTP/1.0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(client.rest().await, b"hello");
    assert!(legacy.seen()[0].line().ends_with("HTTP/1.1"));
}

#[tokio::test]
async fn head_keeps_the_length_and_sends_no_body() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n";
    let legacy = Scripted::always(Act::Say(head.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    let reply = client.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reply.header("content-length"), Some("1234"));
    // The connection is still in step.
    let reply = client.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reply.status(), 200);
}

#[tokio::test]
async fn a_chunked_request_keeps_its_trailers_except_reserved_ones() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let reply = stage
        .ask(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
             3\r\nabc\r\n0\r\nx-sum: 7\r\nx-auth-subject: root\r\n\r\n",
        )
        .await;
    assert_eq!(reply.status(), 200);
    let body = String::from_utf8_lossy(&legacy.seen()[0].body).to_lowercase();
    assert!(body.starts_with("3\r\nabc\r\n0\r\n"), "{body}");
    assert!(
        body.contains("x-sum: 7") && !body.contains("x-auth"),
        "{body}"
    );
}

#[tokio::test]
async fn a_response_keeps_its_trailers_for_a_client_that_takes_them() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                  3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n";
    let legacy = Scripted::always(Act::Say(answer.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let reply = stage.get("/", "te: trailers\r\nconnection: te\r\n").await;
    assert!(reply.body.to_lowercase().contains("x-sum: 7"), "{reply:?}");
    assert_eq!(legacy.seen()[0].header("te"), Some("trailers"));
}

#[tokio::test]
async fn a_get_may_have_a_chunked_body() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let reply = stage
        .get("/", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n")
        .await;
    assert_eq!(reply.status(), 200);
    assert!(legacy.seen()[0].body.starts_with(b"3\r\nabc"));
}

#[tokio::test]
async fn expect_100_continue_is_answered_when_the_upstream_wants_the_body() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";
    client.send(head.as_bytes()).await;
    assert!(client.head().await.starts_with("HTTP/1.1 100"));
    client.send(b"abc").await;
    assert_eq!(client.reply(false).await.status(), 200);
    assert_eq!(legacy.seen()[0].header("expect"), None);
}

#[tokio::test]
async fn a_response_streams_before_it_is_complete() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour";
    let legacy = Scripted::always(Act::SayInTwo(first.to_owned(), "more".to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.exactly(4).await, b"four");
    legacy.release();
    assert_eq!(client.exactly(4).await, b"more");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_upstream_from_writing() {
    const LENGTH: u64 = 64 * 1024 * 1024;
    let legacy = Scripted::always(Act::Flood(LENGTH)).await;
    // Shorter than the pause below: it is the client who pauses, so that nothing is cut.
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "idle_timeout = \"1s\"")
    ))
    .await;
    let mut client = stage.connect().await;
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    // The upstream's writes stop once the sockets and the gateway's bounded buffers are full.
    let mut written = legacy.written();
    let stalled = std::time::Duration::from_millis(1300);
    while tokio::time::timeout(stalled, written.changed())
        .await
        .is_ok()
    {}
    let stopped_at = *written.borrow();
    assert!(
        stopped_at < LENGTH / 2,
        "{stopped_at} bytes were taken from the upstream"
    );
    let mut left = usize::try_from(LENGTH).unwrap();
    while left > 0 {
        let size = left.min(1 << 20);
        client.exactly(size).await;
        left -= size;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_the_client_from_sending() {
    const LENGTH: usize = 64 * 1024 * 1024;
    let legacy = Scripted::always(Act::Hang).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n");
    client.send(head.as_bytes()).await;
    legacy.saw(1).await;
    let sent = client.send_until_stalled(LENGTH).await;
    assert!(sent < LENGTH / 2, "{sent} bytes were taken from the client");
}

#[tokio::test]
async fn a_response_that_breaks_off_closes_the_clients_connection() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfour";
    let legacy = Scripted::always(Act::SayAndClose(short.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.rest().await, b"four");
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel_after_the_upstreams_101() {
    let legacy = Scripted::always(Act::Tunnel).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    client
        .send(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    let head = client.head().await.to_lowercase();
    assert!(
        head.starts_with("http/1.1 101") && head.contains("upgrade: echo"),
        "{head}"
    );
    for word in ["hello", "again"] {
        client.send(word.as_bytes()).await;
        assert_eq!(client.exactly(5).await, word.as_bytes());
    }
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("upgrade"), Some("echo"));
}

#[tokio::test]
async fn an_upgrade_that_the_upstream_declines_is_answered_and_the_connection_closes() {
    let legacy = Scripted::saying("no").await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = stage.connect().await;
    let request = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let pipelined = format!("{request}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
    client.send(pipelined.as_bytes()).await;
    assert_eq!(client.reply(false).await.body, "no");
    assert!(client.rest().await.is_empty());
    assert_eq!(legacy.count(), 1);
}

#[tokio::test]
async fn http_2_is_not_tunnelled_past_the_routes() {
    let legacy = Scripted::saying("plain").await;
    let stage = Stage::simple(legacy.address).await;
    for offer in [
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\n",
        "connection: upgrade\r\nupgrade: h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket, h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket ,\tH2C-14\r\n",
        "connection: upgrade\r\nupgrade: h2, websocket\r\n",
        "connection: upgrade\r\nupgrade: websocket,HTTP/2.0\r\n",
        "connection: upgrade\r\nupgrade: TLS/1.2\r\n",
        "",
    ] {
        let headers = format!("{offer}http2-settings: AAMAAABkAAQAAP__\r\n");
        assert_eq!(stage.get("/", &headers).await.body, "plain", "{offer}");
        let seen = legacy.seen().pop().expect("a request");
        for name in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(seen.header(name), None, "{offer}: {}", seen.head);
        }
    }
}

#[tokio::test]
async fn a_switch_to_http_2_is_no_answer() {
    let said = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
    let legacy = Scripted::always(Act::Say(said.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    for offer in ["websocket, h2c", "websocket", "h2c"] {
        let headers = format!("connection: upgrade\r\nupgrade: {offer}\r\n");
        let reply = stage.get("/", &headers).await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (502, "upstream_bad_response"),
            "{offer}"
        );
    }
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_closes_the_connection() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    for headers in [
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "content-length: 3\r\ncontent-length: 4\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "content-length: +3\r\n",
    ] {
        let mut client = stage.connect().await;
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{headers}\r\n0\r\n\r\n");
        client.send(request.as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{headers}: {head}");
        client.rest().await;
    }
    let mut client = stage.connect().await;
    client
        .send(b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.contains(" 400 "), "{head}");
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let reply = stage
        .get("/", &format!("x-large: {}\r\n", "x".repeat(70 * 1024)))
        .await;
    assert_eq!(reply.status(), 431);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\nmax_body = 4\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    assert_eq!(stage.post("/", "", "four").await.status(), 200);
    let announced = stage.post("/", "", "fives").await;
    assert_eq!(
        (announced.status(), announced.code().as_str()),
        (413, "body_too_large")
    );
    assert_eq!(legacy.count(), 1);
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(stage.ask(chunked).await.status(), 413);
    assert_eq!(legacy.count(), 1, "the upstream saw no complete request");
    assert_eq!(stage.stats("all").legacy.failures, 0);
}

#[tokio::test]
async fn an_upstreams_lie_about_its_length_does_not_reach_the_client() {
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
                5\r\nhello\r\n0\r\n\r\n";
    let legacy = Scripted::always(Act::Say(both.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_bad_response")
    );
    assert!(!reply.body.contains("hello"));
    let garbage = Scripted::always(Act::SayAndClose("no http at all\r\n\r\n".to_owned())).await;
    let stage = Stage::simple(garbage.address).await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_bad_response")
    );
}
