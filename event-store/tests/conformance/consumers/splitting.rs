//! Consumers that are split by streams, and whose number of parts changes.

mod operated;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use database::{Database, Options, params};
use event_store::{
    Log,
    consumer::{ConsumerOptions, Fault, Replicas, State},
};
use testkit::{Backend, CommitFaults, eventually};

use super::handler::{
    Journal, Mood, NAME, Running, handled, journal_database, options, start_split,
};
use crate::fixture::{PATIENCE, another, append_to, log_apart, soon};

testkit::both_databases!(
    every_event_is_handled_once_and_in_its_streams_order_by_four_parts,
    two_replicas_of_four_parts_race_and_every_event_is_handled_once,
    from_one_to_four_to_two_to_one_parts_nothing_is_lost_or_comes_twice,
    the_number_changes_under_load_and_whoever_has_another_one_stands_still_and_says_why,
    a_crash_at_a_change_of_number_leaves_the_one_or_the_other,
);

/// All replicas work: the checkpoints alone decide.
pub(crate) fn race() -> ConsumerOptions {
    ConsumerOptions {
        replicas: Replicas::Race,
        // What a part passes over is soon known to the others.
        idle: Duration::from_millis(200),
        ..options()
    }
}

pub(super) fn split(database: &Database, log: &Log, journal: &Journal, parts: u8) -> Running {
    start_split(database, log, journal, parts, None, race())
}

/// One event of each of many streams, so often.
pub(crate) async fn append_rounds(log: &Log, rounds: usize) -> i64 {
    let names: Vec<String> = (0..12).map(|stream| format!("s{stream}")).collect();
    let streams: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut head = 0;
    for _ in 0..rounds {
        head = append_to(log, &streams).await;
    }
    head
}

/// Each position up to the head once, and each stream's in their order.
pub(crate) async fn is_whole(database: &Database, head: i64) {
    let sql = "SELECT stream, position FROM journal ORDER BY stream, place";
    let rows: Vec<(String, i64)> = database.fetch_all(sql, params![]).await.unwrap();
    let in_order = rows
        .windows(2)
        .all(|two| two[0].0 != two[1].0 || two[0].1 < two[1].1);
    assert!(in_order, "{rows:?}");
    let mut positions = handled(database).await;
    positions.sort_unstable();
    assert_eq!(positions, (1..=head).collect::<Vec<_>>());
}

/// As [`is_whole`], once as much is handled: after a replay progress alone does not tell.
pub(super) async fn becomes_whole(database: &Database, head: i64) {
    eventually(PATIENCE, || async {
        handled(database).await.len() == usize::try_from(head).unwrap()
    })
    .await;
    is_whole(database, head).await;
}

pub(super) async fn names(database: &Database) -> Vec<String> {
    let sql = "SELECT consumer FROM consumer_checkpoints ORDER BY consumer";
    let rows: Vec<(String,)> = database.fetch_all(sql, params![]).await.unwrap();
    rows.into_iter().map(|(name,)| name).collect()
}

/// The parts that have come to the head, and those that have not; none before they are in force.
pub(super) async fn arrived(running: &Running) -> (usize, usize) {
    let list = running.consumers.list().await.unwrap();
    if list.iter().any(|part| part.state != "running") {
        return (0, 0);
    }
    let arrived = list.iter().filter(|part| part.lag == 0).count();
    (arrived, list.len() - arrived)
}

async fn every_event_is_handled_once_and_in_its_streams_order_by_four_parts(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    append_rounds(&log, 5).await;
    let running = split(&database, &log, &Journal::new(), 4);
    let head = append_rounds(&log, 5).await;
    running.at(head).await;
    is_whole(&database, head).await;
    let parts = [
        "journal.1of4",
        "journal.2of4",
        "journal.3of4",
        "journal.4of4",
    ];
    assert_eq!(names(&database).await, parts);
    let list = running.consumers.list().await.unwrap();
    let listed: Vec<_> = list
        .iter()
        .map(|part| (part.name.as_str(), part.lag))
        .collect();
    assert_eq!(listed, parts.map(|part| (part, 0)));
    let interests = running.consumers.interests();
    assert_eq!(interests, [(NAME, &[] as &[&str])]);
    for part in parts {
        let progress = running.consumers.progress(part).unwrap();
        assert_eq!((progress.name(), progress.position()), (part, head));
    }
    running.stop().await;
    // Also over a restart.
    let running = split(&database, &log, &Journal::new(), 4);
    let head = append_rounds(&log, 1).await;
    running.at(head).await;
    is_whole(&database, head).await;
    running.stop().await;
}

async fn two_replicas_of_four_parts_race_and_every_event_is_handled_once(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let replicas = [(); 2].map(|()| split(&database, &log, &Journal::new(), 4));
    let mut head = 0;
    for _ in 0..10 {
        head = append_rounds(&log, 1).await;
    }
    for replica in &replicas {
        replica.at(head).await;
    }
    is_whole(&database, head).await;
    for replica in replicas {
        replica.stop().await;
    }
}

/// The parts of each number are far apart when the next takes over: one stream holds one of them up.
async fn from_one_to_four_to_two_to_one_parts_nothing_is_lost_or_comes_twice(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("bad", Mood::Fails(Fault::Poison), u32::MAX);
    append_to(&log, &["bad"]).await;
    let head = append_rounds(&log, 2).await;
    let running = split(&database, &log, &journal, 1);
    running.at(head).await;
    running.stop().await;
    for (parts, held_up) in [(4, "s0"), (2, "s5"), (1, "s7"), (3, "s1"), (4, "s9")] {
        journal.cheer_up();
        journal.mood("bad", Mood::Fails(Fault::Poison), u32::MAX);
        append_rounds(&log, 1).await;
        journal.mood(held_up, Mood::Fails(Fault::Transient), u32::MAX);
        let running = split(&database, &log, &journal, parts);
        append_rounds(&log, 1).await;
        append_to(&log, &["bad"]).await;
        eventually(PATIENCE, || async {
            arrived(&running).await == (usize::from(parts) - 1, 1)
        })
        .await;
        let parked = running.consumers.parked(Some(NAME), 10).await.unwrap();
        assert!(!parked.is_empty());
        let owners: Vec<_> = parked
            .iter()
            .map(|parked| parked.consumer.clone())
            .collect();
        assert!(owners.iter().all(|owner| *owner == owners[0]), "{owners:?}");
        assert!(names(&database).await.contains(&owners[0]), "{owners:?}");
        running.stop().await;
    }
    journal.cheer_up();
    let running = split(&database, &log, &journal, 1);
    let head = append_to(&log, &["bad", "s0"]).await;
    running.at(head).await;
    assert_eq!(names(&database).await, [NAME]);
    let parked = running.consumers.parked(None, 100).await.unwrap();
    let seen: Vec<_> = parked.iter().map(|parked| parked.attempts).collect();
    assert_eq!(
        seen,
        [1, 0, 0, 0, 0, 0, 0],
        "the later ones of its stream wait"
    );
    let retried = running.consumers.retry(NAME, parked[0].event_id).await;
    assert_eq!(retried.unwrap().handled, 7);
    is_whole(&database, head).await;
    running.stop().await;
}

async fn the_number_changes_under_load_and_whoever_has_another_one_stands_still_and_says_why(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (appending, over) = (log.clone(), is_over.clone());
    let writer = tokio::spawn(async move {
        // Bounded, so that a busy machine has an end to come to.
        for _ in 0..200 {
            if over.load(Ordering::SeqCst) {
                break;
            }
            append_rounds(&appending, 1).await;
        }
    });
    let mut replicas: Vec<(Running, Journal, u8)> = Vec::new();
    for parts in [1, 4, 2, 1, 3] {
        let journal = Journal::new();
        let replica = split(&database, &log, &journal, parts);
        replica.is(State::Running).await;
        let at = log.head().await.unwrap().position;
        replica.at(at).await;
        replicas.push((replica, journal, parts));
    }
    let (last, ..) = replicas.pop().unwrap();
    let waits = |state: &State| matches!(state, State::Waiting(_));
    for (left_behind, _, parts) in &replicas {
        let progress = left_behind.consumers.progress(NAME).unwrap();
        soon(progress.until_state(waits)).await;
        let list = left_behind.consumers.list().await.unwrap();
        let reason = list[0].reason.clone().unwrap();
        assert_eq!(list[0].state, "waiting");
        let said = format!("has 3 parts, and this process is made for {parts}");
        assert!(reason.contains(&said), "{reason}");
        // It is no reason to end it: what it serves is served.
        assert!(left_behind.consumers.readiness().is_ok());
    }
    let calls = |journal: &Journal| journal.calls.load(Ordering::SeqCst);
    let before: Vec<usize> = replicas
        .iter()
        .map(|(_, journal, _)| calls(journal))
        .collect();
    is_over.store(true, Ordering::SeqCst);
    soon(writer).await.unwrap();
    let head = append_rounds(&log, 2).await;
    last.at(head).await;
    is_whole(&database, head).await;
    let after: Vec<usize> = replicas
        .iter()
        .map(|(_, journal, _)| calls(journal))
        .collect();
    assert_eq!(before, after);
    for (left_behind, ..) in replicas {
        // It knows how far the others are.
        left_behind.at(head).await;
        left_behind.stop().await;
    }
    last.stop().await;
}

async fn a_crash_at_a_change_of_number_leaves_the_one_or_the_other(backend: Backend) {
    for commit in 1..=3 {
        for after in [false, true] {
            let (log, _place) = log_apart(&backend).await;
            let place = another(&backend).await;
            let whole = journal_database(&place).await;
            let running = split(&whole, &log, &Journal::new(), 1);
            let head = append_rounds(&log, 1).await;
            running.at(head).await;
            running.stop().await;
            drop(whole);
            let faults = CommitFaults::new();
            let hook = Options {
                commit_hook: Some(faults.clone()),
                ..Options::default()
            };
            let database = place.open(hook).await;
            if after {
                faults.die_after(commit);
            } else {
                faults.die_before(commit);
            }
            let head = append_rounds(&log, 1).await;
            let running = split(&database, &log, &Journal::new(), 3);
            eventually(PATIENCE, || async { faults.is_dead() }).await;
            faults.revive();
            running.at(head).await;
            is_whole(&database, head).await;
            let parts = ["journal.1of3", "journal.2of3", "journal.3of3"];
            assert_eq!(
                names(&database).await,
                parts,
                "commit {commit}, after: {after}"
            );
            running.stop().await;
        }
    }
}
