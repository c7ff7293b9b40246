//! Slow clients, and too many of them.

use std::time::Duration;

use gateway::Config;
use gateway::config::{Language, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scripted::{Act, Scripted, ok};
use crate::stage::{PATIENCE, Stage, upstream};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn limited(legacy: &Scripted, limits: &str) -> Stage {
    Stage::open(&format!(
        "{limits}\n{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await
}

fn ended(reason: &str) -> String {
    format!("banyan_gateway_client_connections_ended_total{{reason=\"{reason}\"}}")
}

#[tokio::test]
async fn a_head_that_takes_too_long_ends_the_connection_byte_by_byte_or_not() {
    let legacy = Scripted::saying("hello").await;
    let stage = limited(&legacy, "[limits]\nheader_timeout = \"1s\"").await;
    let mut silent = stage.connect().await;
    silent.send(b"GET / HTTP/1.1\r\nhost: a\r\n").await;
    assert!(silent.rest().await.is_empty());
    // Also behind a first request, and however alive it looks.
    let mut dripping = stage.connect().await;
    assert_eq!(dripping.ask(REQUEST).await.status(), 200);
    let began = std::time::Instant::now();
    while dripping.is_open(b"x").await {
        assert!(began.elapsed() < PATIENCE, "it drips on");
    }
    assert_eq!(legacy.count(), 1);
    stage.shows(&ended("late"), "2");
}

#[tokio::test]
async fn a_connection_without_requests_ends_and_one_that_waits_for_its_answer_does_not() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour".to_owned();
    let acts = [Act::SayInTwo(first, "more".to_owned())];
    let legacy = Scripted::script(acts, Act::Say(ok("hello"))).await;
    let stage = limited(&legacy, "[limits]\nidle_timeout = \"1s\"").await;
    let mut waiting = stage.connect().await;
    waiting.send(REQUEST.as_bytes()).await;
    waiting.head().await;
    let mut idle = stage.connect().await;
    assert_eq!(idle.ask(REQUEST).await.status(), 200);
    // The third does not even begin.
    let mut unused = stage.connect().await;
    assert!(idle.rest().await.is_empty());
    assert!(unused.rest().await.is_empty());
    legacy.release();
    assert_eq!(waiting.exactly(8).await, b"fourmore");
    assert_eq!(waiting.ask(REQUEST).await.status(), 200);
    stage.shows(&ended("late"), "0");
}

#[tokio::test]
async fn whoever_comes_after_the_last_place_is_told_so() {
    let legacy = Scripted::saying("hello").await;
    let stage = limited(&legacy, "[limits]\nmax_connections = 2").await;
    let mut first = stage.connect().await;
    let mut second = stage.connect().await;
    for client in [&mut first, &mut second] {
        assert_eq!(client.ask(REQUEST).await.status(), 200);
    }
    let mut third = stage.connect().await;
    let reply = third.ask(REQUEST).await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "too_many_connections")
    );
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(third.rest().await.is_empty());
    stage.shows(&ended("full"), "1");
    // Those inside are not touched, and a place that is left is taken.
    assert_eq!(second.ask(REQUEST).await.status(), 200);
    drop(first);
    testkit::eventually(PATIENCE, || async {
        stage.get("/", "").await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn an_address_has_its_share_and_our_own_proxies_are_exempt() {
    let legacy = Scripted::saying("hello").await;
    let limits = "[limits]\nmax_connections_per_address = 1";
    let stage = limited(&legacy, limits).await;
    let mut first = stage.connect().await;
    assert_eq!(first.ask(REQUEST).await.status(), 200);
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "too_many_connections")
    );
    stage.shows(&ended("address_full"), "1");
    let trusted = format!("trusted_proxies = [\"127.0.0.1\"]\n{limits}");
    let stage = limited(&legacy, &trusted).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = stage.connect().await;
        assert_eq!(client.ask(REQUEST).await.status(), 200);
        clients.push(client);
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_refused_however_alive_it_looks() {
    let legacy = Scripted::saying("hello").await;
    let limits = "[limits]\nmin_rate = 1000\nmin_rate_grace = \"1s\"";
    let stage = limited(&legacy, limits).await;
    let mut client = stage.connect().await;
    client
        .send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    let began = std::time::Instant::now();
    while client.is_open(b"x").await {
        assert!(began.elapsed() < PATIENCE, "it drips on");
    }
    let reply = client.reply(false).await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (408, "request_timeout")
    );
    assert!(client.rest().await.is_empty());
    assert_eq!(legacy.count(), 0, "no whole request arrived");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_loses_its_connection() {
    let legacy = Scripted::script([Act::Flood(1 << 30)], Act::Say(ok("hello"))).await;
    let limits = "[limits]\nmin_rate = 1000\nmin_rate_grace = \"1s\"";
    let stage = limited(&legacy, limits).await;
    let mut client = stage.connect().await;
    client.send(REQUEST.as_bytes()).await;
    client.head().await;
    let line = format!("{} 1\n", ended("slow"));
    testkit::eventually(PATIENCE, || async { stage.metrics().contains(&line) }).await;
    testkit::eventually(PATIENCE, || async {
        stage.data.upstreams().snapshot()[0].in_flight == 0
    })
    .await;
    assert_eq!(stage.get("/", "").await.body, "hello");
}

#[tokio::test]
async fn a_client_that_reads_slowly_and_keeps_the_rate_gets_all() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let legacy = Scripted::always(Act::Flood(LENGTH as u64)).await;
    let limits = "[limits]\nmin_rate = 1000\nmin_rate_grace = \"1s\"";
    let stage = limited(&legacy, limits).await;
    let mut client = stage.connect().await;
    client.send(REQUEST.as_bytes()).await;
    client.head().await;
    for _ in 0..8 {
        assert_eq!(client.exactly(LENGTH / 8).await.len(), LENGTH / 8);
        // Time has to pass, and more than the grace in all.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    stage.shows(&ended("slow"), "0");
}

#[tokio::test]
async fn a_client_that_reads_steadily_is_seen_to_read_however_much_the_system_could_hold() {
    // Some turns of what the system holds for a connection unless it is told otherwise, of which it
    // asks for more only when a third is gone: longer than the grace at this client's pace.
    const LENGTH: usize = 2 * 1024 * 1024;
    const STEP: usize = 8 * 1024;
    let legacy = Scripted::always(Act::Flood(1 << 30)).await;
    let limits = "[limits]\nmin_rate = 1000\nmin_rate_grace = \"3s\"";
    let stage = limited(&legacy, limits).await;
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    // What the client's own system holds for it is not what is looked at here.
    socket.set_recv_buffer_size(128 * 1024).expect("a size");
    let mut client = socket.connect(stage.address).await.expect("it accepts");
    client.write_all(REQUEST.as_bytes()).await.expect("room");
    // Time has to pass: 200 KB a second.
    let mut pace = tokio::time::interval(Duration::from_millis(40));
    let mut step = vec![0; STEP];
    for _ in 0..LENGTH / STEP {
        pace.tick().await;
        let read = tokio::time::timeout(PATIENCE, client.read_exact(&mut step)).await;
        read.expect("in time").expect("more of the answer");
    }
    stage.shows(&ended("slow"), "0");
}

#[tokio::test]
async fn limits_are_taken_over_by_a_reload() {
    let legacy = Scripted::saying("hello").await;
    let stage = limited(&legacy, "").await;
    let mut first = stage.connect().await;
    assert_eq!(first.ask(REQUEST).await.status(), 200);
    stage
        .reload(&format!(
            "[limits]\nmax_connections = 1\n{}\n\
             [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
            upstream("legacy", legacy.address, "")
        ))
        .await;
    assert_eq!(stage.get("/", "").await.status(), 503);
    assert_eq!(first.ask(REQUEST).await.status(), 200);
}

#[test]
fn limits_have_defaults_and_each_fault_of_them_is_told() {
    let read = |more: &str| {
        let text = format!(
            "{more}\n{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
            upstream("legacy", ([127, 0, 0, 1], 9000).into(), "")
        );
        Config::from_text(&text, Language::Toml)
    };
    let config = read("").expect("a valid configuration");
    assert_eq!(config.limits, Limits::default());
    let faults = read(
        "[limits]\nmax_connections = 0\nmax_connections_per_address = \"many\"\n\
         header_timeout = 5\nidle_timeout = \"soon\"\nmin_rate = -1\nmax_conns = 1\n",
    );
    let faults = faults.expect_err("a faulty configuration").0;
    for key in [
        "max_connections",
        "max_connections_per_address",
        "header_timeout",
        "idle_timeout",
        "min_rate",
        "max_conns",
    ] {
        let key = format!("limits.{key}");
        assert!(
            faults.iter().any(|fault| fault.key == key),
            "{key} in {faults:?}"
        );
    }
    let faults = read("tls = { cert = \"a\" }").expect_err("no key").0;
    assert_eq!(faults[0].key, "tls.key");
}
