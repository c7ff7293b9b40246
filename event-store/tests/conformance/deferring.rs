//! Events that are written by their transaction's commit: with all others, once, or not at all.

use contracts::Event;
use database::{Database, Json, params};
use event_store::derived_id;
use testkit::Backend;
use uuid::Uuid;

use crate::fixture::{OUTBOX, draft, service};

testkit::both_databases!(
    deferred_events_are_written_by_the_commit_in_the_order_of_all,
    a_deferred_event_is_written_once_however_often_its_id_comes,
    a_savepoint_takes_back_the_events_since,
    a_transaction_whose_event_cannot_be_written_does_not_commit,
);

/// Stream and version of all events, in the outbox's order.
async fn written(database: &Database) -> Vec<(String, i64)> {
    let sql = "SELECT event FROM outbox ORDER BY sequence";
    let rows: Vec<(Json<Event>,)> = database.fetch_all(sql, params![]).await.expect("events");
    let place = |(Json(event),): (Json<Event>,)| (event.stream, event.version);
    rows.into_iter().map(place).collect()
}

fn places(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    let place = |(stream, version): &(&str, i64)| ((*stream).to_owned(), *version);
    expected.iter().map(place).collect()
}

async fn deferred_events_are_written_by_the_commit_in_the_order_of_all(backend: Backend) {
    let database = service(&backend).await;
    let mut tx = database.begin().await.unwrap();
    OUTBOX.defer(&mut tx, draft("a"));
    OUTBOX.defer_all(&mut tx, vec![draft("b"), draft("a")]);
    let event = OUTBOX.enqueue(&mut tx, draft("a")).await.unwrap();
    assert_eq!((event.stream.as_str(), event.version), ("a", 3));
    OUTBOX.defer(&mut tx, draft("b"));
    tx.commit().await.unwrap();
    let expected = places(&[("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)]);
    assert_eq!(written(&database).await, expected);
}

async fn a_deferred_event_is_written_once_however_often_its_id_comes(backend: Backend) {
    let database = service(&backend).await;
    let id = derived_id(Uuid::now_v7(), "consumer", 1);
    for _ in 0..2 {
        let mut tx = database.begin().await.unwrap();
        OUTBOX.defer(&mut tx, draft("a").id(id));
        OUTBOX.defer(&mut tx, draft("a").id(id));
        OUTBOX.defer(&mut tx, draft("a"));
        tx.commit().await.unwrap();
    }
    // No version is left out for one that was not written again.
    let expected = places(&[("a", 1), ("a", 2), ("a", 3)]);
    assert_eq!(written(&database).await, expected);
}

async fn a_savepoint_takes_back_the_events_since(backend: Backend) {
    let database = service(&backend).await;
    let mut tx = database.begin().await.unwrap();
    OUTBOX.defer(&mut tx, draft("before"));
    tx.savepoint();
    OUTBOX.defer(&mut tx, draft("within"));
    OUTBOX.enqueue(&mut tx, draft("within")).await.unwrap();
    OUTBOX.defer(&mut tx, draft("within"));
    tx.take_back().await.unwrap();
    OUTBOX.defer(&mut tx, draft("after"));
    tx.commit().await.unwrap();
    let expected = places(&[("before", 1), ("after", 1)]);
    assert_eq!(written(&database).await, expected);
}

async fn a_transaction_whose_event_cannot_be_written_does_not_commit(backend: Backend) {
    let database = service(&backend).await;
    let refuses = "ALTER TABLE stream_versions RENAME TO elsewhere";
    database.execute(refuses, params![]).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    OUTBOX.defer(&mut tx, draft("a"));
    let enqueued = OUTBOX.enqueue(&mut tx, draft("a")).await;
    // Whoever looks away from this error does not get away with it.
    enqueued.expect_err("no table of versions");
    tx.commit().await.expect_err("events that are lost");
    assert_eq!(written(&database).await, places(&[]));
}
