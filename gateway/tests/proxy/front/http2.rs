//! HTTP/2 without TLS, as libraries speak it, in front of upstreams that speak HTTP/1.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::raw::{Fate, GOAWAY, Raw, get};
use crate::scripted::{Act, Scripted, response};
use crate::stage::{PATIENCE, Stage, upstream};

/// A connection of HTTP/2 with prior knowledge.
async fn connect(stage: &Stage) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(stage.address).await.expect("it accepts");
    let (client, connection) = h2::client::handshake(tcp).await.expect("a preface");
    // Its end is seen by the requests.
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("http://shop.example{path}"))
}

/// Sends a request with this body at once.
async fn ask(
    client: &SendRequest<Bytes>,
    request: http::request::Builder,
    body: &'static str,
) -> Response<RecvStream> {
    let mut client = client.clone().ready().await.expect("a place");
    let request = request.body(()).expect("a request");
    let (answer, mut stream) = client
        .send_request(request, body.is_empty())
        .expect("a stream");
    if !body.is_empty() {
        stream.send_data(body.into(), true).expect("room");
    }
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.expect("in time").expect("an answer")
}

async fn read(answer: &mut Response<RecvStream>) -> (String, Option<HeaderMap>) {
    let mut read = Vec::new();
    let body = answer.body_mut();
    while let Some(data) = body.data().await {
        let data = data.expect("a sound body");
        body.flow_control()
            .release_capacity(data.len())
            .expect("what was taken");
        read.extend(data);
    }
    let trailers = body.trailers().await.expect("a sound end");
    (String::from_utf8_lossy(&read).into_owned(), trailers)
}

#[tokio::test]
async fn a_request_and_its_answer_cross_from_http2_to_http1() {
    let said = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x-hop\r\nx-hop: 1\r\n\
                keep-alive: timeout=5\r\nx-own: 1\r\n\r\nhello";
    let legacy = Scripted::always(Act::Say(said.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    let post = request(Method::POST, "/a/b?c=d")
        .header("content-length", "8")
        .header("x-own", "1")
        .header("x-auth-subject", "root");
    let mut answer = ask(&client, post, "question").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(read(&mut answer).await.0, "hello");
    let headers = answer.headers();
    assert_eq!(headers["x-own"], "1");
    assert_eq!(headers["via"], "1.1 banyan");
    assert!(headers.contains_key("x-trace-id"));
    for name in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert!(!headers.contains_key(name), "{name} in {headers:?}");
    }
    let seen = &legacy.seen()[0];
    assert_eq!(seen.line(), "POST /a/b?c=d HTTP/1.1");
    assert_eq!(seen.body, b"question");
    assert_eq!(seen.header("host"), Some("shop.example"));
    assert_eq!(seen.header("via"), Some("2.0 banyan"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-own"), Some("1"));
    assert_eq!(seen.header("x-auth-subject"), None);
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[tokio::test]
async fn many_requests_share_a_connection_and_one_that_waits_holds_up_none() {
    let legacy = Scripted::script([Act::Hang], Act::Say(crate::scripted::ok("hello"))).await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    let mut waiting = client.clone();
    let (held, _) = waiting
        .send_request(request(Method::GET, "/slow").body(()).unwrap(), true)
        .unwrap();
    legacy.saw(1).await;
    for _ in 0..20 {
        let mut answer = ask(&client, request(Method::GET, "/"), "").await;
        assert_eq!(read(&mut answer).await.0, "hello");
    }
    assert_eq!(stage.data.stats().connections(), 1);
    assert_eq!(legacy.connections(), 2, "and they are kept alive");
    drop(held);
}

#[tokio::test]
async fn a_cookie_that_comes_in_crumbs_is_one_for_the_upstream() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    let get = request(Method::GET, "/")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("cookie", "c=3; d=4");
    assert_eq!(ask(&client, get, "").await.status(), 200);
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("cookie"), Some("a=1; b=2; c=3; d=4"));
    assert_eq!(seen.head.to_lowercase().matches("cookie:").count(), 1);
}

#[tokio::test]
async fn a_body_without_a_length_is_chunked_whatever_the_method() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let answer = ask(&client, request(method, "/"), "question").await;
        assert_eq!(answer.status(), 200);
    }
    for seen in legacy.seen() {
        assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
        assert!(seen.body.starts_with(b"8\r\nquestion\r\n"), "{seen:?}");
    }
    // And none is made up where there is none.
    assert_eq!(
        ask(&client, request(Method::GET, "/"), "").await.status(),
        200
    );
    assert_eq!(legacy.seen()[3].header("transfer-encoding"), None);
}

#[tokio::test]
async fn trailers_pass_both_ways_but_for_reserved_ones() {
    let said = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status\r\n\r\n\
                5\r\nhello\r\n0\r\ngrpc-status: 0\r\nx-banyan-fallback: 1\r\n\r\n";
    let legacy = Scripted::always(Act::Say(said.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let mut client = connect(&stage).await.ready().await.unwrap();
    let post = request(Method::POST, "/")
        .header("te", "trailers")
        .header("trailer", "x-sum");
    let (answer, mut stream) = client.send_request(post.body(()).unwrap(), false).unwrap();
    stream.send_data("question".into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    trailers.insert("x-auth-subject", "root".parse().unwrap());
    stream.send_trailers(trailers).unwrap();
    let mut answer = answer.await.unwrap();
    let (body, trailers) = read(&mut answer).await;
    let trailers = trailers.expect("trailers");
    assert_eq!(
        (body.as_str(), &trailers["grpc-status"]),
        ("hello", &"0".parse().unwrap())
    );
    assert!(!trailers.contains_key("x-banyan-fallback"));
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("te"), Some("trailers"));
    let body = String::from_utf8_lossy(&seen.body).to_lowercase();
    assert!(
        body.contains("x-sum: 7") && !body.contains("x-auth"),
        "{body}"
    );
}

#[tokio::test]
async fn head_keeps_the_length_and_has_no_body() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n";
    let legacy = Scripted::always(Act::Say(head.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    for _ in 0..2 {
        let mut answer = ask(&client, request(Method::HEAD, "/"), "").await;
        assert_eq!(answer.headers()["content-length"], "1234");
        assert_eq!(read(&mut answer).await.0, "");
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_heard_and_ends_the_stream_without_error() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\nmax_body = 1000\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let client = connect(&stage).await;
    let mut uploading = client.clone().ready().await.unwrap();
    let post = request(Method::POST, "/").header("content-length", "100000000");
    let (answer, mut stream) = uploading
        .send_request(post.body(()).unwrap(), false)
        .unwrap();
    stream.send_data(vec![0; 60_000].into(), false).unwrap();
    let mut answer = answer.await.unwrap();
    assert_eq!(answer.status(), 413);
    assert!(!answer.headers().contains_key("connection"));
    assert!(read(&mut answer).await.0.contains("body_too_large"));
    let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    assert_eq!(reason.unwrap(), Reason::NO_ERROR);
    // The connection goes on.
    assert_eq!(
        ask(&client, request(Method::GET, "/"), "").await.status(),
        200
    );
}

#[tokio::test]
async fn a_stream_that_the_client_cancels_takes_its_upstreams_connection_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::simple(listener.local_addr().unwrap()).await;
    let mut client = connect(&stage).await;
    let get = request(Method::GET, "/").body(()).unwrap();
    let (_answer, mut stream) = client.send_request(get, true).unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let mut head = vec![0; 1024];
    assert!(upstream.read(&mut head).await.unwrap() > 0);
    stream.send_reset(Reason::CANCEL);
    let closed = tokio::time::timeout(PATIENCE, upstream.read(&mut head)).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    testkit::eventually(PATIENCE, || async {
        stage.data.upstreams().snapshot()[0].in_flight == 0
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_reset_and_not_ended() {
    let said = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    let legacy = Scripted::always(Act::SayAndClose(said.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    let mut answer = ask(&client, request(Method::GET, "/"), "").await;
    let body = answer.body_mut();
    let is_broken = loop {
        match body.data().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(is_broken, "a short body must not look whole");
}

#[tokio::test]
async fn an_error_of_the_applications_own_is_answered_with_its_words() {
    let problem = response(
        "404 Not Found",
        "application/problem+json",
        "{\"code\":\"x\"}",
    );
    let legacy = Scripted::always(Act::Say(problem)).await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    let mut answer = ask(&client, request(Method::GET, "/"), "").await;
    assert_eq!(answer.status(), 404);
    assert_eq!(read(&mut answer).await.0, "{\"code\":\"x\"}");
}

#[tokio::test]
async fn a_shutdown_says_goodbye_and_finishes_what_is_under_way() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour".to_owned();
    let legacy = Scripted::always(Act::SayInTwo(first, "more".to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let client = connect(&stage).await;
    let mut idle = Raw::open(stage.address, &[]).await;
    let mut answer = ask(&client, request(Method::GET, "/"), "").await;
    stage.shutdown.trigger();
    let mut is_told = false;
    while let Some(frame) = idle.next().await {
        is_told |= frame.kind == GOAWAY;
    }
    assert!(is_told, "and the idle connection has ended");
    legacy.release();
    assert_eq!(read(&mut answer).await.0, "fourmore");
    tokio::time::timeout(PATIENCE, stage.data.join())
        .await
        .expect("the workers end");
}

#[tokio::test]
async fn an_idle_connection_ends_and_a_busy_one_does_not() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour".to_owned();
    let legacy = Scripted::always(Act::SayInTwo(first, "more".to_owned())).await;
    let stage = Stage::open(&format!(
        "[limits]\nidle_timeout = \"1s\"\n{}\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let client = connect(&stage).await;
    let mut answer = ask(&client, request(Method::GET, "/"), "").await;
    let mut idle = Raw::open(stage.address, &[]).await;
    // It began after the busy one, so that one would have ended before.
    while idle.next().await.is_some() {}
    legacy.release();
    assert_eq!(read(&mut answer).await.0, "fourmore");
}

#[tokio::test]
async fn http1_and_http2_clients_are_served_side_by_side() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let mut old = stage.connect().await;
    let mut new = Raw::open(stage.address, &[]).await;
    for round in 0..5 {
        let reply = old.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(reply.status(), 200);
        let stream = 2 * round + 1;
        new.send(&get(stream, &[])).await;
        assert_eq!(new.fate(stream).await, Fate::Answered(Some(200)));
    }
}
