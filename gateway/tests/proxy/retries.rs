//! Attempts within one upstream: which are made, and how many the upstream sees.

use crate::scripted::{Act, Scripted, ok, response};
use crate::stage::{Stage, upstream};

const THREE: &str = "retry = { attempts = 3, budget_percent = 100 }";

async fn stage(legacy: &Scripted, settings: &str) -> Stage {
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, settings)
    ))
    .await
}

fn failing() -> Act {
    Act::Say(response(
        "503 Service Unavailable",
        "text/html",
        "<h1>no</h1>",
    ))
}

#[tokio::test]
async fn an_idempotent_request_is_repeated_after_a_reset() {
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let legacy = Scripted::script([Act::Close, Act::Close], Act::Say(ok(""))).await;
        let stage = stage(&legacy, THREE).await;
        let reply = stage
            .ask(&format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        assert_eq!((reply.status(), legacy.count()), (200, 3), "{method}");
        assert_eq!(stage.stats("all").legacy.retries, 2);
    }
}

#[tokio::test]
async fn a_post_that_was_written_is_not_repeated_with_a_key_or_without() {
    for headers in ["", "idempotency-key: k1\r\n"] {
        let legacy = Scripted::script([Act::Close], Act::Say(ok("late"))).await;
        let stage = stage(&legacy, THREE).await;
        let reply = stage.post("/", headers, "order").await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (502, "upstream_unreachable")
        );
        assert_eq!(legacy.count(), 1);
    }
}

#[tokio::test]
async fn a_repeated_request_carries_its_whole_body() {
    let legacy = Scripted::script([Act::Close], Act::Say(ok("done"))).await;
    let stage = stage(&legacy, THREE).await;
    let body = "x".repeat(20_000);
    let length = body.len();
    let request = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
    assert_eq!(stage.ask(&request).await.status(), 200);
    for seen in legacy.seen() {
        assert_eq!(seen.body.len(), length);
    }
    assert_eq!(legacy.count(), 2);
}

#[tokio::test]
async fn a_body_beyond_the_replay_buffer_is_sent_once() {
    let legacy = Scripted::script([Act::Close], Act::Say(ok("done"))).await;
    let stage = stage(&legacy, THREE).await;
    let body = "x".repeat(200_000);
    let length = body.len();
    let request = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
    assert_eq!(stage.ask(&request).await.status(), 502);
    assert_eq!(legacy.count(), 1);
}

#[tokio::test]
async fn an_uncoded_503_is_repeated_and_reaches_the_client_in_the_end() {
    let legacy = Scripted::script([failing(), failing()], Act::Say(ok("up"))).await;
    let stage = stage(&legacy, THREE).await;
    assert_eq!(stage.get("/", "").await.body, "up");
    assert_eq!(legacy.count(), 3);
    legacy.now(failing());
    let reply = stage.get("/", "").await;
    assert_eq!((reply.status(), reply.body.as_str()), (503, "<h1>no</h1>"));
    assert_eq!(legacy.count(), 6);
}

#[tokio::test]
async fn a_coded_503_is_an_answer() {
    let coded = response(
        "503 Service Unavailable",
        "application/problem+json",
        r#"{"code":"answer_compensated"}"#,
    );
    let legacy = Scripted::always(Act::Say(coded)).await;
    let breaker = "breaker = { failures = 1, window = \"10s\", open_for = \"60s\" }";
    let stage = stage(&legacy, &format!("{THREE}\n{breaker}")).await;
    for number in 1..=3 {
        let reply = stage.get("/", "").await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (503, "answer_compensated")
        );
        assert_eq!(legacy.count(), number, "neither repeated nor cut off");
    }
    assert_eq!(stage.stats("all").legacy.failures, 0);
}

#[tokio::test]
async fn without_the_setting_nothing_that_was_sent_is_repeated() {
    let legacy = Scripted::script([Act::Close], Act::Say(ok("late"))).await;
    let stage = stage(&legacy, "").await;
    assert_eq!(stage.get("/", "").await.status(), 502);
    assert_eq!(legacy.count(), 1);
}

#[tokio::test]
async fn the_budget_ends_a_storm_of_retries() {
    let legacy = Scripted::always(failing()).await;
    let stage = stage(&legacy, "retry = { attempts = 2, budget_percent = 1 }").await;
    for _ in 0..15 {
        assert_eq!(stage.get("/", "").await.status(), 503);
    }
    // The reserve of ten, and nothing beyond.
    assert_eq!(legacy.count(), 25);
    let refusals = "banyan_gateway_upstream_refusals_total";
    stage.shows(
        &format!("{refusals}{{upstream=\"legacy\",reason=\"retry_budget\"}}"),
        "5",
    );
}

#[tokio::test]
async fn what_was_not_sent_goes_to_another_endpoint_without_any_setting() {
    let absent = Scripted::absent().await;
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "[upstreams.legacy]\nendpoints = [\"http://{absent}\", \"http://{}\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        legacy.address
    ))
    .await;
    for _ in 0..10 {
        assert_eq!(stage.post("/", "", "order").await.status(), 200);
    }
    assert_eq!(legacy.count(), 10);
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_meanwhile_costs_no_request() {
    let legacy = Scripted::always(Act::SayAndClose(ok("hello"))).await;
    let stage = stage(&legacy, "").await;
    for number in 1..=10 {
        assert_eq!(stage.post("/", "", "order").await.status(), 200);
        assert_eq!(legacy.count(), number);
        // Once the gateway has heard of the closing; before that nobody could know.
        let idle = || stage.data.upstreams().snapshot()[0].endpoints[0].idle_connections;
        let noticed = async {
            while idle() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::stage::PATIENCE, noticed)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_open_circuit_answers_at_once_and_closes_after_a_good_probe() {
    let legacy = Scripted::always(failing()).await;
    let breaker = "breaker = { failures = 2, window = \"10s\", open_for = \"1s\" }";
    let stage = stage(&legacy, breaker).await;
    for _ in 0..2 {
        stage.get("/", "").await;
    }
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "upstream_open")
    );
    assert!(reply.header("retry-after").is_some());
    assert_eq!(legacy.count(), 2);
    let endpoint = format!("upstream=\"legacy\",endpoint=\"http://{}\"", legacy.address);
    let closed = format!("banyan_gateway_breaker_state{{{endpoint},state=\"closed\"}}");
    let opened = format!("banyan_gateway_breaker_opened_total{{{endpoint}}}");
    stage.shows(&opened, "1");
    let refused = "banyan_gateway_upstream_refusals_total{upstream=\"legacy\",reason=\"open\"}";
    stage.shows(refused, "1");
    legacy.now(Act::Say(ok("up")));
    let reopened = async {
        while stage.get("/", "").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::stage::PATIENCE, reopened)
        .await
        .unwrap();
    assert_eq!(stage.get("/", "").await.body, "up");
    stage.shows(&closed, "1");
    stage.shows(&opened, "1");
}

#[tokio::test]
async fn a_full_bulkhead_answers_503_at_once() {
    let legacy = Scripted::always(Act::Hang).await;
    let stage = stage(&legacy, "max_in_flight = 1").await;
    let mut first = stage.connect().await;
    first.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    legacy.saw(1).await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "upstream_overloaded")
    );
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(legacy.count(), 1);
    let of_legacy = "{upstream=\"legacy\"";
    stage.shows(
        &format!("banyan_gateway_upstream_refusals_total{of_legacy},reason=\"full\"}}"),
        "1",
    );
    stage.shows(
        &format!("banyan_gateway_upstream_in_flight{of_legacy}}}"),
        "1.0",
    );
    // The client goes away: its place is free again.
    drop(first);
    legacy.now(Act::Say(ok("hello")));
    let freed = async {
        while stage.get("/", "").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::stage::PATIENCE, freed)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_upstream_that_is_silent_times_out() {
    let legacy = Scripted::always(Act::Hang).await;
    let stage = stage(&legacy, "timeout = \"100ms\"").await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (504, "upstream_timeout")
    );
    assert_eq!(legacy.count(), 1);
}

#[tokio::test]
async fn a_body_that_stalls_is_cut() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour";
    let legacy = Scripted::always(Act::SayInTwo(first.to_owned(), "more".to_owned())).await;
    let stage = stage(&legacy, "idle_timeout = \"100ms\"").await;
    let mut client = stage.connect().await;
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.rest().await, b"four");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so() {
    let legacy = Scripted::saying("never").await;
    let stage = stage(&legacy, "timeout = \"100ms\"").await;
    let mut client = stage.connect().await;
    client
        .send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    let reply = client.reply(false).await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (408, "request_timeout")
    );
    assert_eq!(
        stage.stats("all").legacy.failures,
        0,
        "it is not the upstream's fault"
    );
}

#[tokio::test]
async fn an_endpoint_that_fails_its_health_check_is_left_out() {
    let bad = Scripted::always(failing()).await;
    let good = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "[upstreams.legacy]\nendpoints = [\"http://{}\", \"http://{}\"]\n\
         health = {{ path = \"/health/ready\", interval = \"50ms\" }}\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        bad.address, good.address
    ))
    .await;
    let is_out = || {
        let snapshot = stage.data.upstreams().snapshot();
        snapshot[0]
            .endpoints
            .iter()
            .any(|endpoint| !endpoint.healthy)
    };
    let taken_out = async {
        while !is_out() {
            bad.saw(bad.count() + 1).await;
        }
    };
    tokio::time::timeout(crate::stage::PATIENCE, taken_out)
        .await
        .unwrap();
    for _ in 0..10 {
        assert_eq!(stage.get("/", "").await.status(), 200);
    }
}
