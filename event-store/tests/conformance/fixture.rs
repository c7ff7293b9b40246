//! Logs, services' databases and events for the tests.

use std::{sync::Arc, time::Duration};

use contracts::{Event, events::UserDeleted};
use database::{Database, Options};
use event_store::{Append, Log, LogOptions, NewEvent, Outbox, outbox};
use serde_json::json;
use testkit::{Backend, CommitFaults};
use time::OffsetDateTime;
use uuid::Uuid;

/// Longer than anything takes on a busy machine; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const OUTBOX: Outbox = Outbox::new("test");

pub(crate) async fn open_log(backend: &Backend) -> Log {
    chassis::telemetry::init(chassis::telemetry::Format::Pretty, "warn", &[]);
    Log::open(&backend.url, LogOptions::default())
        .await
        .expect("the log opens")
}

/// A log in a database of its own, beside the service's; it is gone with the second value.
pub(crate) async fn log_apart(backend: &Backend) -> (Log, Backend) {
    let place = another(backend).await;
    (open_log(&place).await, place)
}

/// A second database of the same kind.
pub(crate) async fn another(backend: &Backend) -> Backend {
    match backend.name {
        "sqlite" => Backend::sqlite(),
        _ => Backend::postgres().await,
    }
}

/// A service's database, with the outbox's tables.
pub(crate) async fn service(backend: &Backend) -> Database {
    service_with(backend, Options::default()).await
}

/// A service's database whose commits can be made to fail.
pub(crate) async fn fragile_service(backend: &Backend) -> (Database, Arc<CommitFaults>) {
    let faults = CommitFaults::new();
    let options = Options {
        commit_hook: Some(faults.clone()),
        ..Options::default()
    };
    (service_with(backend, options).await, faults)
}

async fn service_with(backend: &Backend, options: Options) -> Database {
    let database = backend.open(options).await;
    database
        .migrate(outbox::migrations())
        .await
        .expect("the outbox's tables");
    database
}

pub(crate) fn event(stream: &str, version: i64) -> Event {
    typed(stream, version, "user.deleted")
}

pub(crate) fn typed(stream: &str, version: i64, event_type: &str) -> Event {
    Event {
        id: Uuid::now_v7(),
        event_type: event_type.to_owned(),
        stream: stream.to_owned(),
        aggregate_id: stream.to_owned(),
        version,
        schema_version: 1,
        payload: json!({ "userId": Uuid::nil(), "weight": 0.1, "text": "a \"b\" ü" }),
        timestamp: OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("a time"),
        correlation_id: Uuid::now_v7(),
        causation_id: Some(Uuid::now_v7()),
        saga_id: None,
        step: Some("step".to_owned()),
        service_id: "test".to_owned(),
        traceparent: None,
    }
}

/// `count` events of one stream, from version 1.
pub(crate) fn run_of(stream: &str, count: i64) -> Vec<Append> {
    (1..=count)
        .map(|version| Append::exact(event(stream, version)))
        .collect()
}

/// Appends one event of each stream in the list, in that order, whatever their versions.
pub(crate) async fn append_to(log: &Log, streams: &[&str]) -> i64 {
    let batch = streams
        .iter()
        .map(|stream| Append::any(event(stream, 0)))
        .collect();
    let appended = log.append(batch).await.expect("appended");
    appended.last().expect("one at least").position
}

/// A new event of the stream for the outbox.
pub(crate) fn draft(stream: &str) -> NewEvent {
    NewEvent::of(&UserDeleted {
        user_id: Uuid::nil(),
    })
    .stream(stream)
    .aggregate(stream)
}

/// Fails the test instead of waiting for ever.
#[track_caller]
pub(crate) fn soon<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_| panic!("nothing happened within {PATIENCE:?} at {caller}"))
    }
}
