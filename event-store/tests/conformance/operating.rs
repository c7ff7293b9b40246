//! The operators' verbs over HTTP.

use axum::{Router, body::Body, http::Request};
use event_store::{Append, consumer::Fault, ops};
use serde_json::{Value, json};
use testkit::{Backend, eventually};
use tower::ServiceExt;
use uuid::Uuid;

use crate::{
    consumers::handler::{Journal, Mood, NAME, checkpoint, journal_database, start},
    fixture::{OUTBOX, PATIENCE, append_to, draft, log_apart, open_log, typed},
};

testkit::both_databases!(
    consumers_are_listed_paused_resumed_and_replayed,
    parked_events_are_listed_shown_retried_and_discarded,
    the_outbox_tells_its_age_and_what_is_stuck,
    the_log_is_read_tailed_traced_and_counted,
);

async fn call(router: &Router, verb: &str, path: &str) -> (u16, Value) {
    let request = Request::builder()
        .method(verb)
        .uri(path)
        .body(Body::empty())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn consumers_are_listed_paused_resumed_and_replayed(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let running = start(&database, &log, &Journal::new(), None);
    let router = ops::service(running.consumers.clone(), "test", database.clone());
    append_to(&log, &["a", "b"]).await;
    running.at(2).await;
    let (status, body) = call(&router, "GET", "/consumers").await;
    assert_eq!(status, 200);
    let expected = json!({
        "name": NAME, "kind": "projection", "epoch": log.epoch(), "position": 2, "lag": 0,
        "parked": 0, "paused": false, "state": "running", "reason": null,
        "types": []
    });
    assert_eq!(body["items"], json!([expected]));
    let (status, body) = call(&router, "POST", "/consumers/journal/pause").await;
    assert_eq!((status, &body["paused"]), (200, &json!(true)));
    let (status, body) = call(&router, "POST", "/consumers/journal/resume").await;
    assert_eq!((status, &body["paused"]), (200, &json!(false)));
    let (status, _) = call(&router, "POST", "/consumers/journal/replay").await;
    assert_eq!(status, 200);
    let has_read = || async { checkpoint(&database).await == 2 };
    for (from, expected, code) in [
        ("after=1", 200, Value::Null),
        ("since=2999-01-01T00:00:00Z", 200, Value::Null),
        ("after=7", 409, json!("not_rewindable")),
        (
            "after=1&since=2999-01-01T00:00:00Z",
            422,
            json!("two_places"),
        ),
    ] {
        eventually(PATIENCE, has_read).await;
        let path = format!("/consumers/journal/replay?{from}");
        let (status, body) = call(&router, "POST", &path).await;
        assert_eq!((status, &body["code"]), (expected, &code), "{from}");
    }
    let (status, body) = call(&router, "POST", "/consumers/nobody/pause").await;
    assert_eq!((status, &body["code"]), (404, &json!("no_such_consumer")));
    running.stop().await;
}

async fn parked_events_are_listed_shown_retried_and_discarded(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    for stream in ["a", "b"] {
        journal.mood(stream, Mood::Fails(Fault::Poison), u32::MAX);
    }
    let running = start(&database, &log, &journal, None);
    let router = ops::service(running.consumers.clone(), "test", database);
    append_to(&log, &["a", "b"]).await;
    running.at(2).await;
    let (status, body) = call(&router, "GET", "/dlq?consumer=journal&limit=10").await;
    assert_eq!(status, 200);
    let items = body["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["error"], "bad event");
    assert!(items[0].get("event").is_none(), "no payloads in a list");
    let path = |item: &Value| format!("/dlq/journal/{}", item["eventId"].as_str().unwrap());
    let (status, body) = call(&router, "GET", &path(&items[0])).await;
    assert_eq!((status, &body["event"]["stream"]), (200, &json!("a")));
    for verb in ["retry", "retry?alone=true"] {
        let (_, body) = call(&router, "POST", &format!("{}/{verb}", path(&items[0]))).await;
        assert_eq!(body, json!({ "handled": 0, "error": "bad event" }));
    }
    let all = json!({ "handled": 0, "failed": 2, "error": "bad event", "next": null });
    let (_, body) = call(&router, "POST", "/dlq/journal/retry").await;
    assert_eq!(body, all);
    journal.cheer_up();
    let (_, body) = call(&router, "POST", &format!("{}/retry", path(&items[0]))).await;
    assert_eq!(body, json!({ "handled": 1, "error": null }));
    let (status, _) = call(&router, "POST", &format!("{}/discard", path(&items[1]))).await;
    assert_eq!(status, 200);
    let (status, body) = call(&router, "POST", &format!("{}/retry", path(&items[1]))).await;
    assert_eq!((status, &body["code"]), (404, &json!("not_parked")));
    let (status, _) = call(&router, "GET", "/dlq?unknown=1").await;
    assert!((400..500).contains(&status), "{status}");
    running.stop().await;
}

async fn the_outbox_tells_its_age_and_what_is_stuck(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let consumers = event_store::Consumers::new(database.clone(), log);
    let router = ops::service(consumers, "test", database.clone());
    let (_, body) = call(&router, "GET", "/outbox").await;
    let empty = json!({
        "service": "test", "unsent": 0, "oldestSeconds": null, "stuck": 0, "items": []
    });
    assert_eq!(body, empty);
    let mut tx = database.begin().await.unwrap();
    let id = OUTBOX.enqueue(&mut tx, draft("a")).await.unwrap().id;
    tx.commit().await.unwrap();
    database
        .execute("UPDATE outbox SET error = 'taken'", vec![])
        .await
        .unwrap();
    let (_, body) = call(&router, "GET", "/outbox").await;
    assert_eq!((&body["unsent"], &body["stuck"]), (&json!(1), &json!(1)));
    assert!(body["oldestSeconds"].is_number());
    assert_eq!(body["items"][0]["error"], "taken");
    let (_, body) = call(&router, "POST", &format!("/outbox/{id}/retry")).await;
    assert_eq!(body["stuck"], 0);
    let (status, body) = call(&router, "POST", &format!("/outbox/{id}/retry")).await;
    assert_eq!((status, &body["code"]), (404, &json!("not_stuck")));
}

async fn the_log_is_read_tailed_traced_and_counted(backend: Backend) {
    let log = open_log(&backend).await;
    let router = ops::log(log.clone());
    let first = typed("a", 1, "one");
    let (id, correlation) = (first.id, first.correlation_id);
    let batch = [first, typed("b", 1, "two"), typed("a", 2, "one")];
    log.append(batch.into_iter().map(Append::exact).collect())
        .await
        .unwrap();
    let (_, head) = call(&router, "GET", "/events/head").await;
    assert_eq!(head, json!({ "epoch": log.epoch(), "position": 3 }));
    let positions = |body: &Value| -> Vec<i64> {
        let items = body["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["position"].as_i64().unwrap())
            .collect()
    };
    for (query, expected) in [
        ("after=1", vec![2, 3]),
        ("before=3", vec![2, 1]),
        ("backward=true&limit=1", vec![3]),
        ("stream=a", vec![1, 3]),
        ("types=two,none", vec![2]),
        ("stream=a&types=one,two", vec![1, 3]),
        ("category=b", vec![2]),
        ("category=a&backward=true&limit=1", vec![3]),
        ("since=2000-01-01T00:00:00Z&limit=2", vec![1, 2]),
        ("since=2000-01-01T00:00:00Z&backward=true", vec![]),
        ("since=2999-01-01T00:00:00Z&backward=true", vec![3, 2, 1]),
    ] {
        let (_, body) = call(&router, "GET", &format!("/events?{query}")).await;
        assert_eq!(positions(&body), expected, "{query}");
    }
    let (_, body) = call(&router, "GET", &format!("/events/trace/{correlation}")).await;
    assert_eq!(positions(&body), [1]);
    let (_, body) = call(&router, "GET", &format!("/events/{id}")).await;
    assert_eq!((&body["id"], &body["type"]), (&json!(id), &json!("one")));
    let (status, _) = call(&router, "GET", &format!("/events/{}", Uuid::nil())).await;
    assert_eq!(status, 404);
    for (query, code, field) in [
        ("after=1&before=2", "two_places", "before"),
        ("after=1&since=2000-01-01T00:00:00Z", "two_places", "since"),
        ("category=a-1", "invalid_field", "category"),
    ] {
        let (status, body) = call(&router, "GET", &format!("/events?{query}")).await;
        let told = (status, &body["code"], &body["field"]);
        assert_eq!(told, (422, &json!(code), &json!(field)));
    }
    let (_, head) = call(&router, "GET", "/events/head?before=2000-01-01T00:00:00Z").await;
    assert_eq!(head, json!({ "epoch": log.epoch(), "position": 0 }));
    let (_, stats) = call(&router, "GET", "/events/stats").await;
    assert_eq!((&stats["head"], &stats["streams"]), (&json!(3), &json!(2)));
    assert_eq!(
        stats["items"][0],
        json!({ "type": "one", "events": 2, "lastPosition": 3 })
    );

    let tailing = router.clone();
    let tail = tokio::spawn(async move { call(&tailing, "GET", "/events?after=3&wait=20").await });
    eventually(PATIENCE, || async {
        append_to(&log, &["c"]).await;
        tail.is_finished()
    })
    .await;
    assert_eq!(positions(&tail.await.unwrap().1)[0], 4);
}
