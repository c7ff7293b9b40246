//! Reloads and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::server::Listeners;

use crate::scripted::{Act, Scripted};
use crate::stage::{Client, PATIENCE, Stage, upstream};

fn all_to(address: std::net::SocketAddr, name: &str) -> String {
    format!(
        "{}\n[[routes]]\nid = \"{name}\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", address, "")
    )
}

#[tokio::test]
async fn a_reload_under_load_drops_nothing() {
    let first = Scripted::saying("first").await;
    let second = Scripted::saying("second").await;
    let stage = Arc::new(Stage::open(&all_to(first.address, "all")).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stage, is_over) = (Arc::clone(&stage), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut client = stage.connect().await;
                let mut answered = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let reply = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                    assert_eq!(reply.status(), 200);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for round in 0..10 {
        let (upstream, seen) = if round % 2 == 0 {
            (&second, &second)
        } else {
            (&first, &first)
        };
        let before = seen.count();
        stage.reload(&all_to(upstream.address, "all")).await;
        seen.saw(before + 5).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_reload_keeps_connections_and_counters_of_what_stays() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&all_to(legacy.address, "all")).await;
    let mut client = stage.connect().await;
    for _ in 0..3 {
        client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        stage
            .reload(&format!(
                "route_headers = false\n{}",
                all_to(legacy.address, "all")
            ))
            .await;
        stage.reload(&all_to(legacy.address, "all")).await;
    }
    assert_eq!(legacy.connections(), 1);
    assert_eq!(stage.stats("all").legacy.requests, 3);
}

#[tokio::test]
async fn an_upgraded_connection_outlives_a_reload() {
    let legacy = Scripted::always(Act::Tunnel).await;
    let other = Scripted::saying("other").await;
    let stage = Stage::open(&all_to(legacy.address, "all")).await;
    let mut client = stage.connect().await;
    client
        .send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    client.head().await;
    stage.reload(&all_to(other.address, "all")).await;
    assert_eq!(stage.get("/", "").await.body, "other");
    client.send(b"still here").await;
    assert_eq!(client.exactly(10).await, b"still here");
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_under_way_and_takes_nothing_new() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour";
    let legacy = Scripted::always(Act::SayInTwo(first.to_owned(), "more".to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let mut idle = stage.connect().await;
    let mut busy = stage.connect().await;
    busy.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    busy.head().await;
    stage.shutdown.trigger();
    assert!(
        idle.rest().await.is_empty(),
        "an idle connection is closed at once"
    );
    legacy.release();
    assert_eq!(busy.rest().await, b"fourmore");
    tokio::time::timeout(PATIENCE, stage.data.join())
        .await
        .expect("the workers end");
    // The port is free again.
    Listeners::bind_for(stage.address, 1).expect("nobody listens any more");
}

/// A connection that has become a tunnel.
async fn tunnel(stage: &Stage) -> Client {
    let mut client = stage.connect().await;
    client
        .send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.send(b"hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
    client
}

#[tokio::test]
async fn a_tunnel_is_bounded_and_counted_as_a_connection_and_as_a_request_to_its_end() {
    for (limit, code) in [
        ("[limits]\nmax_connections = 1", "too_many_connections"),
        (
            "[limits]\nmax_connections_per_address = 1",
            "too_many_connections",
        ),
        ("max_in_flight = 1", "overloaded"),
    ] {
        let legacy = Scripted::always(Act::Tunnel).await;
        let stage = Stage::open(&format!("{limit}\n{}", all_to(legacy.address, "all"))).await;
        let mut first = tunnel(&stage).await;
        for _ in 0..3 {
            let reply = stage.get("/", "").await;
            assert_eq!(
                (reply.status(), reply.code().as_str()),
                (503, code),
                "{limit}"
            );
        }
        assert_eq!(legacy.count(), 1, "{limit}");
        stage.shows("banyan_gateway_in_flight", "1.0");
        first.send(b"again").await;
        assert_eq!(first.exactly(5).await, b"again");
        assert!(stage.data.stats().connections() >= 1, "{limit}");
        drop(first);
        // Its end gives both back.
        testkit::eventually(PATIENCE, || async {
            stage.data.stats().connections() == 0
                && stage.metrics().contains("\nbanyan_gateway_in_flight 0.0\n")
        })
        .await;
        drop(tunnel(&stage).await);
    }
}

#[tokio::test]
async fn a_shutdown_lets_a_tunnel_go_on_until_its_end() {
    let legacy = Scripted::always(Act::Tunnel).await;
    let stage = Stage::single(&all_to(legacy.address, "all")).await;
    let mut client = tunnel(&stage).await;
    stage.shutdown.trigger();
    // The drain has begun once nobody is taken any more.
    testkit::eventually(PATIENCE, || async {
        tokio::net::TcpStream::connect(stage.address).await.is_err()
    })
    .await;
    for word in ["still", "there"] {
        client.send(word.as_bytes()).await;
        assert_eq!(client.exactly(5).await, word.as_bytes());
    }
    drop(client);
    tokio::time::timeout(PATIENCE, stage.data.join())
        .await
        .expect("the workers end");
}

#[tokio::test]
async fn a_second_gateway_is_told_that_the_port_is_taken() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let error = Listeners::bind_for(stage.address, 2).expect_err("the port is taken");
    assert!(error.to_string().contains("`listen`"), "{error}");
}

#[tokio::test]
async fn an_upstream_has_no_more_connections_than_requests_at_once() {
    const CLIENTS: usize = 8;
    let legacy = Scripted::saying("hello").await;
    let stage = Arc::new(Stage::simple(legacy.address).await);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let mut client = stage.connect().await;
                for _ in 0..50 {
                    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
                    assert_eq!(client.ask(request).await.status(), 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(legacy.count(), CLIENTS * 50);
    assert!(
        legacy.connections() <= CLIENTS,
        "{} connections",
        legacy.connections()
    );
    let snapshot = stage.data.upstreams().snapshot();
    assert_eq!(
        (snapshot[0].in_flight, snapshot[0].endpoints[0].in_flight),
        (0, 0)
    );
}
