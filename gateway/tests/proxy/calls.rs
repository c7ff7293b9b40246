//! gRPC: what the gateway itself says to a call, and when a call's time is over.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};

use crate::scripted::{Act, Scripted};
use crate::stage::{PATIENCE, Stage, upstream};

const CALL: &str = "content-type: application/grpc+proto\r\nte: trailers\r\n";

async fn stage(settings: &str, route: &str, legacy: std::net::SocketAddr) -> Stage {
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/shop.Orders\"\nlegacy = \"legacy\"\n{route}\n",
        upstream("legacy", legacy, settings)
    ))
    .await
}

#[tokio::test]
async fn a_call_is_told_in_its_own_words_why_there_is_no_answer() {
    let absent = Scripted::absent().await;
    let gone = stage("", "", absent).await;
    let reply = gone.post("/shop.Orders/Put", CALL, "x").await;
    assert_eq!(
        (reply.status(), reply.header("grpc-status")),
        (200, Some("14"))
    );
    assert_eq!(reply.header("content-type"), Some("application/grpc"));
    let message = reply.header("grpc-message").expect("a message");
    assert!(message.starts_with("upstream_unreachable: "), "{message}");
    assert_eq!(reply.body, "");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let reply = gone.post("/nobody", CALL, "x").await;
    assert_eq!(reply.header("grpc-status"), Some("12"));
    let reply = gone.post("/shop.Orders/Put", "", "x").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
    let closed = stage(
        "",
        "auth = { required = true }\n[auth]\n[[auth.issuers]]\nissuer = \"i\"\n\
         secret = \"0123456789abcdef\"",
        absent,
    )
    .await;
    let reply = closed.post("/shop.Orders/Put", CALL, "x").await;
    assert_eq!(reply.header("grpc-status"), Some("16"));
}

#[tokio::test]
async fn what_is_no_post_is_no_call_and_is_refused_with_a_status_of_http() {
    let gone = stage("", "", Scripted::absent().await).await;
    for method in ["GET", "PUT", "DELETE"] {
        let request = format!("{method} /shop.Orders/Put HTTP/1.1\r\nhost: a\r\n{CALL}\r\n");
        let reply = gone.ask(&request).await;
        let told = (reply.status(), reply.code());
        assert_eq!(told, (502, "upstream_unreachable".to_owned()), "{method}");
        assert_eq!(reply.header("grpc-status"), None, "{method}");
    }
}

#[tokio::test]
async fn a_call_waits_no_longer_than_it_says_and_blames_nobody() {
    let legacy = Scripted::always(Act::Hang).await;
    let breaker =
        "timeout = \"10m\"\nbreaker = { failures = 1, window = \"10s\", open_for = \"60s\" }";
    let stage = stage(breaker, "", legacy.address).await;
    for count in 1..=2 {
        let headers = format!("{CALL}grpc-timeout: 50m\r\n");
        let reply = stage.post("/shop.Orders/Put", &headers, "x").await;
        assert_eq!(reply.header("grpc-status"), Some("4"));
        assert_eq!(legacy.count(), count, "its circuit stays closed");
    }
    assert_eq!(stage.stats("all").legacy.failures, 0);
}

/// Nobody hears why, if the time is over while it waits for others; nothing is too much for the upstream.
#[tokio::test]
async fn a_call_whose_time_is_over_in_the_queue_is_late_and_not_refused() {
    let legacy = Scripted::always(Act::Hang).await;
    let queue = "timeout = \"10m\"\nmax_in_flight = 1\nqueue = { size = 9, wait = \"10m\" }";
    let stage = stage(queue, "", legacy.address).await;
    let mut first = stage.connect().await;
    first
        .send(b"GET /shop.Orders HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    legacy.saw(1).await;
    let headers = format!("{CALL}grpc-timeout: 50m\r\n");
    let reply = stage.post("/shop.Orders/Put", &headers, "x").await;
    assert_eq!(reply.header("grpc-status"), Some("4"));
    let refused = stage.data.upstreams().snapshot()[0].refused;
    assert_eq!((refused.full, legacy.count()), (0, 1));
}

#[tokio::test]
async fn a_call_does_not_wait_longer_for_a_connection() {
    // Connections lie in its queue, and no handshake is answered.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("an address");
    let stage = Stage::open(&format!(
        "[upstreams.legacy]\nendpoints = [\"https://{address}\"]\nprotocol = \"https\"\n\
         connect_timeout = \"10m\"\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n"
    ))
    .await;
    let headers = format!("{CALL}grpc-timeout: 50m\r\n");
    let reply = stage.post("/shop.Orders/Put", &headers, "x").await;
    assert_eq!(reply.header("grpc-status"), Some("4"));
    assert_eq!(stage.stats("all").legacy.failures, 0);
}

#[tokio::test]
async fn a_call_does_not_wait_longer_for_what_an_answer_means() {
    let head = "HTTP/1.1 503 Oops\r\ncontent-type: application/problem+json\r\n\
                content-length: 9\r\n\r\n";
    let halves = Act::SayInTwo(head.to_owned(), String::new());
    let legacy = Scripted::always(halves).await;
    let stage = stage(
        "timeout = \"10m\"\nidle_timeout = \"10m\"",
        "",
        legacy.address,
    )
    .await;
    let headers = format!("{CALL}grpc-timeout: 200m\r\n");
    let reply = stage.post("/shop.Orders/Put", &headers, "x").await;
    assert_eq!(reply.header("grpc-status"), Some("4"));
    assert_eq!(stage.stats("all").legacy.failures, 0);
}

/// A server that sends back each message when it comes, and says at the end how many there were.
async fn echoing() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("a preface");
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(echo(request.into_body(), respond));
                }
            });
        }
    });
    address
}

async fn echo(mut body: h2::RecvStream, mut respond: h2::server::SendResponse<Bytes>) {
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .header("trailer", "grpc-status, x-count")
        .body(())
        .expect("a head");
    let mut send = respond.send_response(head, false).expect("an open stream");
    let mut count = 0_u32;
    while let Some(Ok(data)) = body.data().await {
        let length = data.len();
        let _ = body.flow_control().release_capacity(length);
        if length == 0 {
            // Nothing but the end.
            continue;
        }
        count += 1;
        send.send_data(data, false).expect("an open stream");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-count", count.into());
    send.send_trailers(trailers).expect("an open stream");
}

#[tokio::test]
async fn messages_stream_both_ways_and_the_outcome_comes_last() {
    let stage = stage("protocol = \"h2c\"", "", echoing().await).await;
    let mut client = stage.connect().await;
    let head = format!(
        "POST /shop.Orders/Chat HTTP/1.1\r\nhost: a\r\n{CALL}connection: te\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    client.send(head.as_bytes()).await;
    for number in 0..3 {
        client
            .send(format!("4\r\nmsg{number}\r\n").as_bytes())
            .await;
        if number == 0 {
            assert!(client.head().await.starts_with("HTTP/1.1 200"));
        }
        let echoed = client.exactly(9).await;
        assert_eq!(echoed, format!("4\r\nmsg{number}\r\n").as_bytes());
    }
    client.send(b"0\r\n\r\n").await;
    let end = String::from_utf8(client.until(b"\r\n\r\n").await).expect("a text");
    assert!(
        end.starts_with("0\r\n") && end.contains("grpc-status: 0\r\n"),
        "{end}"
    );
    assert!(end.contains("x-count: 3\r\n"), "{end}");
}

/// A client of HTTP/2.
async fn client(stage: &Stage) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(stage.address).await.expect("it accepts");
    let (client, connection) = h2::client::handshake(stream).await.expect("a preface");
    // Its end is seen by the calls.
    tokio::spawn(async move { drop(connection.await) });
    client.ready().await.expect("a place")
}

fn call(path: &str) -> Request<()> {
    Request::post(format!("http://shop.example/shop.Orders/{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

async fn in_time<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("in time")
}

/// Each message of either side is there before the other one says the next.
#[tokio::test]
async fn a_call_over_http_2_streams_both_ways() {
    let stage = stage("protocol = \"h2c\"", "", echoing().await).await;
    let mut client = client(&stage).await;
    let (answer, mut send) = client.send_request(call("Chat"), false).expect("a stream");
    let answer = in_time(answer).await.expect("a head before any message");
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let mut body = answer.into_body();
    for message in [&b"one"[..], b"two", b"three"] {
        send.send_data(Bytes::from_static(message), false)
            .expect("room");
        let echoed = in_time(body.data()).await.expect("a message");
        let echoed = echoed.expect("a sound body");
        assert_eq!(echoed, message);
        let _ = body.flow_control().release_capacity(echoed.len());
    }
    send.send_data(Bytes::new(), true).expect("an open stream");
    assert!(in_time(body.data()).await.is_none());
    let trailers = in_time(body.trailers()).await.expect("a sound end");
    let trailers = trailers.expect("trailers");
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-count"]),
        (
            &HeaderValue::from_static("0"),
            &HeaderValue::from_static("3")
        )
    );
}

#[tokio::test]
async fn an_outcome_without_a_message_is_all_in_the_head() {
    let absent = Scripted::absent().await;
    let gone = stage("protocol = \"h2c\"", "", absent).await;
    let mut client = client(&gone).await;
    let (answer, _) = client.send_request(call("Put"), true).expect("a stream");
    let answer = in_time(answer).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert!(answer.body().is_end_stream());
}
