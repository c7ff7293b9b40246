//! Projections are taken back and read again: from the beginning, a position, a time.

use database::Timestamp;
use event_store::{
    Kind, ReadQuery,
    consumer::{Fault, OperatorError, Start},
};
use testkit::{Backend, eventually};

use super::handler::{Journal, Mood, NAME, checkpoint, handled, journal_database, start};
use crate::fixture::{PATIENCE, another, append_to, log_apart, open_log};

testkit::both_databases!(
    a_projection_is_taken_back_to_a_position_and_reads_on_from_there,
    a_projection_is_taken_back_to_a_time,
    what_was_parked_above_comes_again_and_what_was_parked_below_stays,
    a_replay_from_elsewhere_is_refused_where_it_would_lie,
);

async fn a_projection_is_taken_back_to_a_position_and_reads_on_from_there(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let running = start(&database, &log, &Journal::new(), None);
    append_to(&log, &["a", "b", "a", "b"]).await;
    running.at(4).await;
    // What a bug did.
    for (was, is) in [(1, -1), (3, -3)] {
        let sql = "UPDATE journal SET position = $2 WHERE position = $1";
        let values = database::params![was, is];
        database.execute(sql, values).await.unwrap();
    }
    running
        .consumers
        .replay(NAME, Start::After(2))
        .await
        .unwrap();
    eventually(PATIENCE, || async { checkpoint(&database).await == 4 }).await;
    // -1 and -3 are not above 2: what was not taken back is left alone.
    let sorted = || async {
        let mut positions = handled(&database).await;
        positions.sort_unstable();
        positions
    };
    assert_eq!(sorted().await, [-3, -1, 2, 3, 4]);
    // To the very place where it is changes nothing, and before the first is the beginning.
    running
        .consumers
        .replay(NAME, Start::After(4))
        .await
        .unwrap();
    assert_eq!(sorted().await, [-3, -1, 2, 3, 4]);
    running
        .consumers
        .replay(NAME, Start::After(0))
        .await
        .unwrap();
    let all = [1, 2, 3, 4];
    eventually(PATIENCE, || async { handled(&database).await == all }).await;
    running.stop().await;
}

async fn a_projection_is_taken_back_to_a_time(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    let running = start(&database, &log, &journal, None);
    for _ in 0..4 {
        append_to(&log, &["a"]).await;
    }
    running.at(4).await;
    let third = log.read(&ReadQuery::after(2).limit(1)).await.unwrap();
    let time: Timestamp = third[0].recorded_at.unwrap().into();
    let before = log.position_before(time).await.unwrap();
    assert!((1..3).contains(&before), "{before}");
    let calls = || journal.calls.load(std::sync::atomic::Ordering::SeqCst);
    let so_far = calls();
    running
        .consumers
        .replay(NAME, Start::At(time))
        .await
        .unwrap();
    let again = usize::try_from(4 - before).unwrap();
    eventually(PATIENCE, || async { calls() == so_far + again }).await;
    eventually(PATIENCE, || async {
        handled(&database).await == [1, 2, 3, 4]
    })
    .await;
    running.stop().await;
}

async fn what_was_parked_above_comes_again_and_what_was_parked_below_stays(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    for stream in ["low", "high"] {
        journal.mood(stream, Mood::Fails(Fault::Poison), u32::MAX);
    }
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["low", "a", "high", "low"]).await;
    running.at(4).await;
    journal.cheer_up();
    running
        .consumers
        .replay(NAME, Start::After(2))
        .await
        .unwrap();
    eventually(PATIENCE, || async { handled(&database).await == [2, 3] }).await;
    let parked = || running.consumers.parked(None, 10);
    eventually(PATIENCE, || async { parked().await.unwrap().len() == 2 }).await;
    let seen = parked().await.unwrap();
    let seen: Vec<_> = seen.iter().map(|p| (p.position, p.attempts)).collect();
    assert_eq!(seen, [(1, 1), (4, 0)], "the later one waits again");
    running.stop().await;
}

async fn a_replay_from_elsewhere_is_refused_where_it_would_lie(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let mut journal = Journal::new();
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a", "b"]).await;
    running.at(2).await;
    running.consumers.pause(NAME).await.unwrap();
    append_to(&log, &["c"]).await;
    let refused = |text: &'static str| {
        move |result: Result<(), OperatorError>| match result {
            Err(OperatorError::NotRewindable(why)) => assert!(why.contains(text), "{why}"),
            other => panic!("{other:?}"),
        }
    };
    let replay = running.consumers.replay(NAME, Start::After(3)).await;
    refused("pass over")(replay);
    running.stop().await;

    journal.rewinds = false;
    let running = start(&database, &log, &journal, None);
    let replay = running.consumers.replay(NAME, Start::After(1)).await;
    refused("from the beginning")(replay);
    running.stop().await;

    journal.rewinds = true;
    let elsewhere = another(&backend).await;
    let other = open_log(&elsewhere).await;
    append_to(&other, &["x", "y", "z"]).await;
    let running = start(&database, &other, &journal, None);
    let replay = running.consumers.replay(NAME, Start::After(1)).await;
    refused("another log")(replay);
    running.stop().await;

    journal.kind = Kind::Process;
    let running = start(&database, &log, &journal, None);
    let replay = running.consumers.replay(NAME, Start::After(1)).await;
    assert!(matches!(replay, Err(OperatorError::NotReplayable(NAME))));
    running.stop().await;
    assert_eq!(handled(&database).await, [1, 2]);
    assert_eq!(checkpoint(&database).await, 2);
}
