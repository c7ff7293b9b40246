use std::time::Duration;

use chassis::Shutdown;
use database::{Database, params};
use event_store::{Append, Log, ReadQuery, derived_id, outbox, relay::RelayOptions};
use testkit::{Backend, CommitFaults, eventually};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::fixture::{
    OUTBOX, PATIENCE, another, draft, event, fragile_service, log_apart, service, soon,
};

testkit::both_databases!(
    an_event_is_in_the_log_exactly_when_its_transaction_committed,
    versions_are_contiguous_although_writers_race_and_roll_back,
    a_crash_between_append_and_mark_repeats_harmlessly,
    a_conflict_stops_its_stream_and_no_other,
    of_two_relays_one_works_and_the_other_takes_over,
    a_relay_that_was_overtaken_marks_nothing,
    sent_rows_stay_until_the_backup_has_them_or_a_week_has_passed,
    a_restored_log_gets_what_it_lacks_again,
    an_event_with_a_derived_id_is_written_once,
    many_events_at_once_keep_their_order_and_their_streams_versions,
    a_version_that_is_ahead_waits_for_its_predecessor,
);

pub(crate) struct Relay {
    pub(crate) task: JoinHandle<()>,
    stop: Shutdown,
}

pub(crate) fn start(database: &Database, log: &Log) -> Relay {
    start_with(database, log, RelayOptions::new("t").mark_after)
}

/// A relay that notes what the log has only after `mark_after`.
pub(crate) fn start_with(database: &Database, log: &Log, mark_after: Duration) -> Relay {
    let stop = Shutdown::new();
    let options = RelayOptions {
        max_backoff: Duration::from_millis(50),
        mark_after,
        ..RelayOptions::new("t")
    };
    let relay = outbox::run_relay(database.clone(), log.clone(), options, stop.clone());
    Relay {
        task: tokio::spawn(relay),
        stop,
    }
}

impl Relay {
    pub(crate) async fn stop(self) {
        self.stop.trigger();
        soon(self.task).await.expect("the relay ends");
    }
}

pub(crate) async fn enqueue(database: &Database, stream: &str) -> Uuid {
    let mut tx = database.begin().await.expect("a transaction");
    let event = OUTBOX
        .enqueue(&mut tx, draft(stream))
        .await
        .expect("enqueued");
    tx.commit().await.expect("committed");
    event.id
}

pub(crate) async fn unsent(database: &Database) -> i64 {
    let sql = "SELECT COUNT(*) FROM outbox WHERE sent_position IS NULL";
    database
        .fetch_one::<(i64,)>(sql, params![])
        .await
        .expect("a count")
        .0
}

pub(crate) async fn all_sent(database: &Database) {
    eventually(PATIENCE, || async { unsent(database).await == 0 }).await;
}

pub(crate) async fn streams(log: &Log) -> Vec<(String, i64)> {
    let events = log
        .read(&ReadQuery::after(0).limit(1_000))
        .await
        .expect("events");
    events
        .into_iter()
        .map(|r| (r.event.stream, r.event.version))
        .collect()
}

async fn an_event_is_in_the_log_exactly_when_its_transaction_committed(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let relay = start(&database, &log);
    let committed = enqueue(&database, "a").await;
    let mut tx = database.begin().await.unwrap();
    OUTBOX.enqueue(&mut tx, draft("b")).await.unwrap();
    tx.rollback().await.unwrap();
    let last = enqueue(&database, "a").await;
    soon(log.appended().wait_for(|head| *head == 2))
        .await
        .unwrap();
    let events = log.read(&ReadQuery::after(0)).await.unwrap();
    assert_eq!(
        events.iter().map(|r| r.event.id).collect::<Vec<_>>(),
        [committed, last]
    );
    assert_eq!(events[0].event.service_id, "test");
    assert_eq!(
        events[0].event.correlation_id, committed,
        "it begins a chain"
    );
    all_sent(&database).await;
    relay.stop().await;
}

async fn versions_are_contiguous_although_writers_race_and_roll_back(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let relay = start(&database, &log);
    let writers = (0..12).map(|writer| {
        let database = database.clone();
        tokio::spawn(async move {
            for turn in 0..6 {
                let mut tx = database.begin().await.unwrap();
                OUTBOX.enqueue(&mut tx, draft("shared")).await.unwrap();
                OUTBOX
                    .enqueue(&mut tx, draft(&format!("own-{writer}")))
                    .await
                    .unwrap();
                if turn % 3 == 2 {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                }
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    soon(log.appended().wait_for(|head| *head == 96))
        .await
        .unwrap();
    let shared: Vec<_> = streams(&log)
        .await
        .into_iter()
        .filter(|(s, _)| s == "shared")
        .map(|(_, v)| v)
        .collect();
    assert_eq!(shared, (1..=48).collect::<Vec<_>>());
    relay.stop().await;
}

async fn a_crash_between_append_and_mark_repeats_harmlessly(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    for death in [
        CommitFaults::die_before as fn(&CommitFaults, u64),
        CommitFaults::die_after,
    ] {
        let place = another(&backend).await;
        let (database, faults) = fragile_service(&place).await;
        let head = log.head().await.unwrap().position;
        // Commits from now: the two rows, the lease, the first look around the house, the mark.
        let stream = Uuid::now_v7().to_string();
        enqueue(&database, &stream).await;
        enqueue(&database, &stream).await;
        death(&faults, 3);
        let relay = start(&database, &log);
        soon(log.appended().wait_for(|now| *now == head + 2))
            .await
            .unwrap();
        eventually(PATIENCE, || async { faults.is_dead() }).await;
        relay.task.abort();
        faults.revive();
        let relay = start(&database, &log);
        enqueue(&database, &stream).await;
        soon(log.appended().wait_for(|now| *now == head + 3))
            .await
            .unwrap();
        all_sent(&database).await;
        assert_eq!(
            log.head().await.unwrap().position,
            head + 3,
            "nothing was appended twice"
        );
        relay.stop().await;
    }
}

async fn a_conflict_stops_its_stream_and_no_other(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    // Somebody else wrote to a stream of ours.
    log.append(vec![event("a", 1).into()]).await.unwrap();
    let stuck = enqueue(&database, "a").await;
    enqueue(&database, "b").await;
    enqueue(&database, "a").await;
    enqueue(&database, "b").await;
    let relay = start(&database, &log);
    soon(log.appended().wait_for(|head| *head == 3))
        .await
        .unwrap();
    let sql = "SELECT id, error FROM outbox WHERE error IS NOT NULL";
    let rows: Vec<(Uuid, String)> = eventually(PATIENCE, || async {
        let rows = database.fetch_all(sql, params![]).await.expect("rows");
        (!rows.is_empty()).then_some(rows)
    })
    .await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0, stuck);
    assert!(rows[0].1.contains("version 1 is taken"), "{}", rows[0].1);
    enqueue(&database, "b").await;
    soon(log.appended().wait_for(|head| *head == 4))
        .await
        .unwrap();
    // The stream's second event waits behind its first.
    eventually(PATIENCE, || async { unsent(&database).await == 2 }).await;
    relay.stop().await;
}

async fn of_two_relays_one_works_and_the_other_takes_over(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let first = start(&database, &log);
    enqueue(&database, "a").await;
    all_sent(&database).await;
    let second = start(&database, &log);
    for _ in 0..5 {
        enqueue(&database, "a").await;
    }
    first.task.abort();
    enqueue(&database, "a").await;
    all_sent(&database).await;
    let versions: Vec<_> = streams(&log).await.into_iter().map(|(_, v)| v).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
    second.stop().await;
}

async fn a_relay_that_was_overtaken_marks_nothing(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let relay = start(&database, &log);
    enqueue(&database, "a").await;
    all_sent(&database).await;
    // Somebody took the lease and keeps it.
    let sql = "UPDATE leases SET token = token + 1, holder = $1, expires_at = $2";
    let later = database.now().await.unwrap() + Duration::from_secs(3_600);
    database
        .execute(sql, params![Uuid::now_v7(), later])
        .await
        .unwrap();
    enqueue(&database, "a").await;
    soon(log.appended().wait_for(|head| *head >= 1))
        .await
        .unwrap();
    // The overtaken relay may have appended, but the row stays for the one that has the lease.
    let sql = "SELECT COUNT(*) FROM leases WHERE expires_at = $1";
    let kept: (i64,) = database.fetch_one(sql, params![later]).await.unwrap();
    assert_eq!(kept, (1,), "the lease was not renewed by the overtaken one");
    assert_eq!(unsent(&database).await, 1);
    relay.stop().await;
    assert_eq!(unsent(&database).await, 1);
}

async fn sent_rows_stay_until_the_backup_has_them_or_a_week_has_passed(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    for _ in 0..3 {
        enqueue(&database, "a").await;
    }
    let relay = start(&database, &log);
    all_sent(&database).await;
    relay.stop().await;
    let rows = async || {
        let sql = "SELECT COUNT(*) FROM outbox";
        database
            .fetch_one::<(i64,)>(sql, params![])
            .await
            .unwrap()
            .0
    };
    assert_eq!(rows().await, 3);
    log.database()
        .execute("UPDATE log_head SET backed_up_to = 2", params![])
        .await
        .unwrap();
    let relay = start(&database, &log);
    eventually(PATIENCE, || async { rows().await == 1 }).await;
    relay.stop().await;
    // A log that nobody backs up does not fill every service's database for ever.
    let long_ago = database.now().await.unwrap() - Duration::from_secs(8 * 24 * 60 * 60);
    database
        .execute("UPDATE outbox SET written_at = $1", params![long_ago])
        .await
        .unwrap();
    let relay = start(&database, &log);
    eventually(PATIENCE, || async { rows().await == 0 }).await;
    relay.stop().await;
}

async fn a_restored_log_gets_what_it_lacks_again(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    for _ in 0..3 {
        enqueue(&database, "a").await;
    }
    let relay = start(&database, &log);
    all_sent(&database).await;
    relay.stop().await;
    let (restored, _other_place) = log_apart(&backend).await;
    let first = log.read(&ReadQuery::after(0).limit(1)).await.unwrap();
    restored
        .append(vec![Append::exact(first[0].event.clone())])
        .await
        .unwrap();
    let relay = start(&database, &restored);
    soon(restored.appended().wait_for(|head| *head == 3))
        .await
        .unwrap();
    all_sent(&database).await;
    assert_eq!(streams(&restored).await, streams(&log).await);
    relay.stop().await;
}

async fn an_event_with_a_derived_id_is_written_once(backend: Backend) {
    let database = service(&backend).await;
    let id = derived_id(Uuid::now_v7(), "badges", 1);
    let mut written = Vec::new();
    for _ in 0..2 {
        let mut tx = database.begin().await.unwrap();
        written.push(OUTBOX.enqueue(&mut tx, draft("a").id(id)).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(written[0], written[1]);
    assert_eq!(unsent(&database).await, 1);
}

async fn a_version_that_is_ahead_waits_for_its_predecessor(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let first = enqueue(&database, "a").await;
    enqueue(&database, "a").await;
    enqueue(&database, "b").await;
    let sql = "SELECT event FROM outbox WHERE id = $1";
    let (json,): (database::Json<contracts::Event>,) =
        database.fetch_one(sql, params![first]).await.unwrap();
    database
        .execute("DELETE FROM outbox WHERE id = $1", params![first])
        .await
        .unwrap();
    let relay = start(&database, &log);
    soon(log.appended().wait_for(|head| *head == 1))
        .await
        .unwrap();
    assert_eq!(streams(&log).await, [("b".to_owned(), 1)]);
    eventually(PATIENCE, || async { unsent(&database).await == 1 }).await;
    log.append(vec![Append::exact(json.0)]).await.unwrap();
    all_sent(&database).await;
    assert_eq!(log.head().await.unwrap().position, 3);
    relay.stop().await;
}

async fn many_events_at_once_keep_their_order_and_their_streams_versions(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    let relay = start(&database, &log);
    enqueue(&database, "c").await;
    let mut tx = database.begin().await.expect("a transaction");
    let drafts = ["d", "c", "a", "c", "b"].map(draft).to_vec();
    let written = OUTBOX.enqueue_all(&mut tx, drafts).await;
    let written = written.expect("enqueued");
    let nothing = OUTBOX.enqueue_all(&mut tx, Vec::new()).await;
    assert_eq!(nothing.expect("nothing is no fault"), []);
    tx.commit().await.expect("committed");
    let mut tx = database.begin().await.expect("a transaction");
    let repeat = written[3].id;
    let twice = ["a", "e", "a"].map(|stream| draft(stream).id(repeat));
    let refused = OUTBOX.enqueue_all(&mut tx, twice.to_vec()).await;
    refused.expect_err("two events cannot have one id");
    // One that is there already is answered with, and takes no version from the others.
    let again = vec![draft("c"), draft("c").id(repeat), draft("c")];
    let again = OUTBOX.enqueue_all(&mut tx, again).await.expect("enqueued");
    assert_eq!(again[1], written[3]);
    assert_eq!((again[0].version, again[2].version), (4, 5));
    tx.commit()
        .await
        .expect("what was refused is not in the way");
    enqueue(&database, "a").await;
    all_sent(&database).await;
    let expected = [
        ("c", 1),
        ("d", 1),
        ("c", 2),
        ("a", 1),
        ("c", 3),
        ("b", 1),
        ("c", 4),
        ("c", 5),
        ("a", 2),
    ];
    let expected = expected.map(|(stream, version)| (stream.to_owned(), version));
    assert_eq!(streams(&log).await, expected);
    relay.stop().await;
}
