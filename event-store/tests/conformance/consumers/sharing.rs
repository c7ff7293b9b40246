//! Several replicas share the parts of a split consumer by leases, and change their number one after
//! another.

use std::{sync::atomic::Ordering, time::Duration};

use database::{Database, Options};
use event_store::{
    Log,
    consumer::{ConsumerOptions, State},
};
use testkit::{Backend, eventually, proxy::Mode};

use super::{
    handler::{Journal, NAME, Running, journal_database, options, start_split},
    splitting::{append_rounds, is_whole},
};
use crate::{
    fixture::{PATIENCE, log_apart, soon},
    outage::through_proxy,
};

/// Takes over within two seconds; the rest is for a busy machine.
const TAKES_OVER: Duration = Duration::from_secs(8);

fn shared(database: &Database, log: &Log, parts: u8) -> (Running, Journal) {
    let journal = Journal::new();
    let attentive = ConsumerOptions {
        idle: Duration::from_millis(200),
        ..options()
    };
    let running = start_split(database, log, &journal, parts, None, attentive);
    (running, journal)
}

/// How many parts this replica handles; none while it does not reach its database.
async fn active(replica: &Running) -> usize {
    let list = replica.consumers.list().await.unwrap_or_default();
    list.iter().filter(|part| part.state == "running").count()
}

fn calls(journal: &Journal) -> usize {
    journal.calls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn two_replicas_have_half_of_the_parts_each_and_one_takes_all_when_the_other_dies() {
    let backend = Backend::postgres().await;
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let (url, proxy) = through_proxy(&backend).await;
    let mortal = Database::connect(&url, Options::default()).await.unwrap();
    let (first, working) = shared(&mortal, &log, 4);
    eventually(PATIENCE, || async { active(&first).await == 4 }).await;
    let (second, other) = shared(&database, &log, 4);
    eventually(PATIENCE, || async {
        (active(&first).await, active(&second).await) == (2, 2)
    })
    .await;
    let head = append_rounds(&log, 5).await;
    first.at(head).await;
    second.at(head).await;
    is_whole(&database, head).await;
    assert!(calls(&working) > 0 && calls(&other) > 0);

    // As a process that was killed: it says nothing more.
    proxy.set(Mode::Blackhole).await;
    let next = append_rounds(&log, 5).await;
    tokio::time::timeout(TAKES_OVER, second.consumers.caught_up_to(next))
        .await
        .expect("the other takes over");
    assert_eq!(active(&second).await, 4);
    is_whole(&database, next).await;

    // It comes back, and gets its share again.
    proxy.set(Mode::Pass).await;
    proxy.sever().await;
    eventually(PATIENCE, || async {
        (active(&first).await, active(&second).await) == (2, 2)
    })
    .await;
    let last = append_rounds(&log, 1).await;
    second.at(last).await;
    first.stop().await;
    eventually(PATIENCE, || async { active(&second).await == 4 }).await;
    second.stop().await;
    is_whole(&database, last).await;
}

#[tokio::test]
async fn a_replica_that_comes_takes_its_share_without_holding_events_up() {
    let backend = Backend::postgres().await;
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let (first, _) = shared(&database, &log, 3);
    eventually(PATIENCE, || async { active(&first).await == 3 }).await;
    let others = [
        backend.open(Options::default()).await,
        backend.open(Options::default()).await,
    ];
    let mut replicas = vec![first];
    for database in &others {
        replicas.push(shared(database, &log, 3).0);
        let due = 3_usize.div_ceil(replicas.len());
        let mut is_shared = false;
        while !is_shared {
            let head = append_rounds(&log, 1).await;
            tokio::time::timeout(TAKES_OVER, replicas[0].consumers.caught_up_to(head))
                .await
                .expect("no part is left alone");
            let mut each = Vec::new();
            for replica in &replicas {
                each.push(active(replica).await);
            }
            is_shared = each.iter().sum::<usize>() == 3 && each.iter().all(|has| *has <= due);
        }
    }
    let head = log.head().await.unwrap().position;
    is_whole(&database, head).await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test]
async fn a_replica_with_another_number_waits_until_the_last_of_the_old_one_has_ended() {
    let backend = Backend::postgres().await;
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let other = backend.open(Options::default()).await;
    let (whole, _) = shared(&database, &log, 1);
    whole.is(State::Running).await;
    let waits = |state: &State| matches!(state, State::Waiting(_));
    // As a deployment does it: the new ones come before the old ones end.
    let mut before = whole;
    for parts in [4, 2, 1] {
        let (next, journal) = shared(&other, &log, parts);
        let progress = next.consumers.progress(NAME).unwrap();
        soon(progress.until_state(waits)).await;
        assert!(next.consumers.readiness().is_ok());
        let head = append_rounds(&log, 1).await;
        before.at(head).await;
        // It knows how far those are that handle.
        next.at(head).await;
        assert_eq!(calls(&journal), 0);
        before.stop().await;
        next.is(State::Running).await;
        let head = append_rounds(&log, 1).await;
        next.at(head).await;
        is_whole(&database, head).await;
        before = next;
    }
    // One of the old number that is started again does not take it back.
    let (old, idle) = shared(&database, &log, 4);
    let progress = old.consumers.progress(NAME).unwrap();
    soon(progress.until_state(waits)).await;
    let head = append_rounds(&log, 1).await;
    before.at(head).await;
    assert_eq!(calls(&idle), 0);
    is_whole(&database, head).await;
    before.stop().await;
    old.stop().await;
}
