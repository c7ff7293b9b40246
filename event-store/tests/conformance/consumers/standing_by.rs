//! Several replicas: one handles, the others read along and take over.

use std::{sync::atomic::Ordering, time::Duration};

use database::{Database, Options};
use event_store::{
    Log, LogOptions,
    consumer::{ConsumerOptions, Start, State},
};
use testkit::{Backend, eventually, proxy::Mode};

use super::handler::{
    Journal, NAME, Running, WRITTEN, handled, journal_database, options, start_with,
};
use crate::{
    fixture::{PATIENCE, append_to, log_apart, soon},
    outage::through_proxy,
};

/// Takes over within two seconds; the rest is for a busy machine.
const TAKES_OVER: Duration = Duration::from_secs(8);

fn calls(journal: &Journal) -> usize {
    journal.calls.load(Ordering::SeqCst)
}

/// Soon aware of what an operator did in another process.
fn attentive() -> ConsumerOptions {
    ConsumerOptions {
        idle: Duration::from_millis(200),
        ..options()
    }
}

/// One that is active and then another, each with its own handler.
async fn two(active: &Database, standby: &Database, log: &Log) -> [(Running, Journal); 2] {
    let journals = [Journal::new(), Journal::new()];
    let first = start_with(active, log, &journals[0], None, attentive());
    first.is(State::Running).await;
    let second = start_with(standby, log, &journals[1], None, attentive());
    second.is(State::Standby).await;
    let [one, other] = journals;
    [(first, one), (second, other)]
}

#[tokio::test]
async fn a_standby_calls_no_handler_and_goes_on_within_two_seconds_of_a_death() {
    let backend = Backend::postgres().await;
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let (url, proxy) = through_proxy(&backend).await;
    let mortal = Database::connect(&url, Options::default()).await.unwrap();
    let [(active, working), (standby, idle)] = two(&mortal, &database, &log).await;

    for round in 0..20 {
        append_to(&log, &["a", "b", "c"][..1 + round % 3]).await;
    }
    let head = log.head().await.unwrap().position;
    active.at(head).await;
    // It knows how far the consumer is, and did nothing for it.
    standby.at(head).await;
    assert_eq!(handled(&database).await, (1..=head).collect::<Vec<_>>());
    assert_eq!(calls(&idle), 0);
    let list = standby.consumers.list().await.unwrap();
    assert_eq!((list[0].state, list[0].lag), ("standby", 0));

    // As a process that was killed, or a machine that fell off the network: it says nothing more.
    proxy.set(Mode::Blackhole).await;
    let worked = calls(&working);
    let next = append_to(&log, &["a", "b"]).await;
    tokio::time::timeout(TAKES_OVER, standby.consumers.caught_up_to(next))
        .await
        .expect("the standby takes over");
    standby.is(State::Running).await;
    assert_eq!(handled(&database).await, (1..=next).collect::<Vec<_>>());

    // It comes back, and stands by.
    proxy.set(Mode::Pass).await;
    proxy.sever().await;
    active.is(State::Standby).await;
    let last = append_to(&log, &["a"]).await;
    standby.at(last).await;
    active.at(last).await;
    assert_eq!(handled(&database).await, (1..=last).collect::<Vec<_>>());
    // It may have tried what was appended while it did not know of its own death.
    assert!(calls(&working) <= worked + 2);
    active.stop().await;
    standby.stop().await;
}

/// It reads the log's head and then a checkpoint that has moved on meanwhile.
#[tokio::test]
async fn a_replica_that_starts_while_another_goes_on_does_not_take_the_log_for_shorter() {
    let backend = Backend::postgres().await;
    let (log, place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let other = backend.open(Options::default()).await;
    let working = Journal::new();
    let first = start_with(&database, &log, &working, None, attentive());
    first.is(State::Running).await;
    let (url, proxy) = through_proxy(&place).await;
    let far = Log::open(&url, LogOptions::default()).await.unwrap();
    proxy.set(Mode::Delay(Duration::from_millis(50))).await;
    let appending = tokio::spawn({
        let log = log.clone();
        async move {
            loop {
                append_to(&log, &["a"]).await;
            }
        }
    });
    eventually(PATIENCE, || async { calls(&working) > 0 }).await;

    let second = start_with(&other, &far, &Journal::new(), None, attentive());
    let progress = second.consumers.progress(NAME).unwrap();
    soon(progress.until_state(|state| *state != State::Stopped)).await;
    assert_eq!(progress.state(), State::Standby);
    appending.abort();
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_replica_that_ends_or_is_aborted_leaves_its_place_at_once() {
    let backend = Backend::postgres().await;
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let other = backend.open(Options::default()).await;
    let [(first, _), (second, taken_over)] = two(&database, &other, &log).await;
    let head = append_to(&log, &["a"]).await;
    second.at(head).await;
    let free = || async {
        let sql = "SELECT count(*) FROM leases WHERE expires_at > to_timestamp(0)";
        database.fetch_one::<(i64,)>(sql, vec![]).await.unwrap().0 == 0
    };
    first.stop().await;
    second.is(State::Running).await;
    let head = append_to(&log, &["b"]).await;
    second.at(head).await;
    assert_eq!(calls(&taken_over), 1);
    second.abort();
    eventually(PATIENCE, free).await;
    assert_eq!(handled(&database).await, [1, 2]);
}

#[tokio::test]
async fn who_waits_on_a_standby_is_told_of_what_the_active_one_committed() {
    let backend = Backend::postgres().await;
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let other = backend.open(Options::default()).await;
    let [(first, _), (second, _)] = two(&database, &other, &log).await;
    let mut written = other.signal(WRITTEN);
    written.borrow_and_update();
    append_to(&log, &["a"]).await;
    soon(written.changed()).await.unwrap();
    assert_eq!(handled(&database).await, [1]);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_pause_a_replay_and_foreign_events_are_the_same_on_a_standby() {
    let backend = Backend::postgres().await;
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let other = backend.open(Options::default()).await;
    let [(first, _), (second, idle)] = two(&database, &other, &log).await;
    let head = append_to(&log, &["a", "b"]).await;
    second.at(head).await;
    second.consumers.pause(NAME).await.unwrap();
    second.is(State::Paused).await;
    first.is(State::Paused).await;
    first.consumers.resume(NAME).await.unwrap();
    first.is(State::Running).await;
    second.is(State::Standby).await;
    second
        .consumers
        .replay(NAME, Start::Beginning)
        .await
        .unwrap();
    eventually(PATIENCE, || async { handled(&database).await == [1, 2] }).await;
    second.at(2).await;
    assert_eq!(calls(&idle), 0);
    first.stop().await;
    second.stop().await;
}
