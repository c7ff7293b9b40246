//! What is young, or needed by somebody, stays.

use std::time::Duration;

use database::params;
use event_store::{Log, publisher, watch};
use testkit::{Backend, eventually};

use super::Kept;
use crate::{
    consumers::{
        handler::{Journal, journal_database, start, start_split},
        splitting::race,
    },
    fixture::{PATIENCE, append_to},
};

testkit::both_databases!(
    what_is_young_stays,
    what_is_in_no_file_stays,
    what_the_bus_has_yet_to_get_stays,
    what_a_consumer_has_yet_to_read_stays,
    a_consumer_that_was_split_keeps_nothing_by_what_it_was_before,
    a_row_whose_key_is_not_kept_cannot_go,
    only_one_process_removes,
);

async fn what_is_young_stays(backend: Backend) {
    let kept = Kept::with(backend).await;
    append_to(&kept.log, &["a"; 8]).await;
    kept.archive().await;
    let hour = Duration::from_secs(3600);
    assert_eq!(kept.retention(hour).pass().await.unwrap().events, 0);
    assert_eq!(kept.rows().await.len(), 8);
    kept.remove_to(8).await;
}

async fn what_is_in_no_file_stays(backend: Backend) {
    let kept = Kept::with(backend).await;
    append_to(&kept.log, &["a"; 6]).await;
    let removed = kept.retention(Duration::ZERO).pass().await.unwrap();
    assert_eq!(removed.events, 0, "there is no archive at all");
    kept.archive().await;
    append_to(&kept.log, &["a"; 6]).await;
    kept.remove_to(6).await;
    let removed = kept.retention(Duration::ZERO).pass().await.unwrap();
    assert_eq!((removed.events, kept.rows().await.len()), (0, 6));
}

async fn what_the_bus_has_yet_to_get_stays(backend: Backend) {
    let kept = Kept::with(backend).await;
    append_to(&kept.log, &["a"; 12]).await;
    kept.archive().await;
    cursor(&kept.log, 9).await;
    kept.remove_to(8).await;
    let removed = kept.retention(Duration::ZERO).pass().await.unwrap();
    assert_eq!(removed.events, 0, "one of the next file's is not published");
    cursor(&kept.log, 12).await;
    kept.remove_to(12).await;
    // A cursor of another identity of the log says nothing about this one's.
    append_to(&kept.log, &["a"; 4]).await;
    kept.archive().await;
    publisher::go_on(&kept.log, "test", None).await.unwrap();
    let sql = "UPDATE publisher_cursors SET epoch = $1";
    let other = params![uuid::Uuid::new_v4()];
    kept.log.database().execute(sql, other).await.unwrap();
    let removed = kept.retention(Duration::ZERO).pass().await.unwrap();
    assert_eq!(removed.events, 0);
}

async fn cursor(log: &Log, position: i64) {
    publisher::go_on(log, "test", None).await.unwrap();
    let sql = "UPDATE publisher_cursors SET position = $1";
    let values = params![position];
    log.database().execute(sql, values).await.unwrap();
}

async fn what_a_consumer_has_yet_to_read_stays(backend: Backend) {
    let kept = Kept::with(crate::fixture::another(&backend).await).await;
    let database = journal_database(&backend).await;
    append_to(&kept.log, &["a"; 5]).await;
    let running = start(&database, &kept.log, &Journal::new(), None);
    running.at(5).await;
    let shutdown = chassis::Shutdown::new();
    let watching = tokio::spawn(watch::run(
        "test",
        database.clone(),
        kept.log.metrics().clone(),
        running.consumers.clone(),
        shutdown.clone(),
    ));
    let sql = "SELECT reader, position FROM log_readers";
    eventually(PATIENCE, || async {
        let told: Vec<(String, i64)> = kept.log.database().fetch_all(sql, vec![]).await.unwrap();
        told == [("test/journal".to_owned(), 5)]
    })
    .await;
    append_to(&kept.log, &["a"; 3]).await;
    kept.archive().await;
    kept.remove_to(4).await;
    let removed = kept.retention(Duration::ZERO).pass().await.unwrap();
    assert_eq!(removed.events, 0, "it has not told that it is further");
    shutdown.trigger();
    watching.await.unwrap();
    running.stop().await;
}

async fn a_consumer_that_was_split_keeps_nothing_by_what_it_was_before(backend: Backend) {
    let kept = Kept::with(crate::fixture::another(&backend).await).await;
    let database = journal_database(&backend).await;
    let told = |parts: u8, head: i64| {
        let (database, log) = (database.clone(), kept.log.clone());
        async move {
            let running = start_split(&database, &log, &Journal::new(), parts, None, race());
            running.at(head).await;
            // Also what is passed over at the end is stored.
            let sql = "SELECT MIN(position) FROM consumer_checkpoints";
            eventually(PATIENCE, || async {
                let (lowest,): (i64,) = database.fetch_one(sql, vec![]).await.unwrap();
                lowest == head
            })
            .await;
            let shutdown = chassis::Shutdown::new();
            let watching = tokio::spawn(watch::run(
                "test",
                database.clone(),
                log.metrics().clone(),
                running.consumers.clone(),
                shutdown.clone(),
            ));
            let sql = "SELECT reader, position FROM log_readers ORDER BY reader";
            let told = eventually(PATIENCE, || async {
                let told: Vec<(String, i64)> = log.database().fetch_all(sql, vec![]).await.unwrap();
                let is_told = told.iter().all(|(_, position)| *position == head);
                (is_told && !told.is_empty()).then_some(told)
            })
            .await;
            shutdown.trigger();
            watching.await.unwrap();
            running.stop().await;
            told.into_iter()
                .map(|(reader, _)| reader)
                .collect::<Vec<_>>()
        }
    };
    append_to(&kept.log, &["a"; 5]).await;
    assert_eq!(told(1, 5).await, ["test/journal"]);
    append_to(&kept.log, &["a", "b", "c"]).await;
    let split = ["test/journal", "test/journal.1of2", "test/journal.2of2"];
    assert_eq!(told(2, 8).await, split);
}

async fn a_row_whose_key_is_not_kept_cannot_go(backend: Backend) {
    let kept = Kept::with(backend).await;
    append_to(&kept.log, &["a"; 8]).await;
    kept.archive().await;
    super::alike::hold_at(&kept.log, 4).await;
    kept.remove_to(4).await;
    let sql = "DELETE FROM events WHERE position = 5";
    let refused = kept.log.database().execute(sql, vec![]).await.unwrap_err();
    assert!(refused.to_string().contains("never changed"), "{refused}");
    // Not by a key of another event either; on PostgreSQL, where all have their keys, not by the note of
    // a range that ends before.
    let sql = database::Sql::by_dialect(
        "UPDATE event_keys SET position = 99 WHERE position = 5",
        "INSERT INTO archived_keys (id, position, stream, version, type, correlation_id)
         SELECT id, 99, stream, version, type, correlation_id FROM events WHERE position = 5",
    );
    kept.log.database().execute(sql, vec![]).await.unwrap();
    let sql = "DELETE FROM events WHERE position = 5";
    kept.log.database().execute(sql, vec![]).await.unwrap_err();
    assert_eq!(kept.rows().await, [5, 6, 7, 8]);
}

async fn only_one_process_removes(backend: Backend) {
    let kept = Kept::with(backend).await;
    append_to(&kept.log, &["a"; 40]).await;
    kept.archive().await;
    let all = [1, 2, 3, 4].map(|_| kept.retention(Duration::ZERO));
    eventually(PATIENCE, || async {
        for pass in futures::future::join_all(all.iter().map(|one| one.pass())).await {
            pass.unwrap();
        }
        kept.log.archived_to().await.unwrap() == 40
    })
    .await;
    let ranges = kept.log.archived_ranges().await.unwrap();
    let places: Vec<_> = ranges
        .iter()
        .map(|range| (range.first, range.last))
        .collect();
    let expected: Vec<_> = (0..10).map(|n| (n * 4 + 1, n * 4 + 4)).collect();
    assert_eq!(places, expected);
}
