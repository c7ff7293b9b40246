//! The outbox learns what the log has a little later, and of many events at once.

use std::time::Duration;

use testkit::Backend;

use crate::{
    fixture::{log_apart, service, soon},
    relaying::{all_sent, enqueue, start, start_with, streams, unsent},
};

testkit::both_databases!(
    what_the_log_has_is_noted_later_and_together,
    what_was_not_noted_when_the_relay_died_is_appended_again_and_there_once,
);

/// Longer than a test runs.
const NEVER: Duration = Duration::from_secs(3_600);

async fn what_the_log_has_is_noted_later_and_together(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let relay = start_with(&database, &log, NEVER);
    for head in 1..=3 {
        enqueue(&database, "a").await;
        let appended = async {
            log.appended()
                .wait_for(|now| *now == head)
                .await
                .map(|_| ())
        };
        soon(appended).await.unwrap();
    }
    assert_eq!(unsent(&database).await, 3);
    relay.stop().await;
    assert_eq!(unsent(&database).await, 0);
    assert_eq!(log.head().await.unwrap().position, 3);
    // None of them was appended a second time for not being noted yet.
    let metrics = chassis::Metrics::new();
    metrics.register(|registry| log.metrics().register(registry));
    let text = metrics.encode().unwrap();
    let moved = "relay_events_total{service=\"t\"} 3\n";
    assert!(text.contains(moved), "{text}");
}

async fn what_was_not_noted_when_the_relay_died_is_appended_again_and_there_once(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let relay = start_with(&database, &log, NEVER);
    for stream in ["a", "b", "a"] {
        enqueue(&database, stream).await;
    }
    let appended = async { log.appended().wait_for(|now| *now == 3).await.map(|_| ()) };
    soon(appended).await.unwrap();
    relay.task.abort();
    let _ = relay.task.await;
    assert_eq!(unsent(&database).await, 3);
    let relay = start(&database, &log);
    enqueue(&database, "b").await;
    all_sent(&database).await;
    relay.stop().await;
    let expected = [("a", 1), ("b", 1), ("a", 2), ("b", 2)];
    let expected = expected.map(|(stream, version)| (stream.to_owned(), version));
    assert_eq!(streams(&log).await, expected);
}
