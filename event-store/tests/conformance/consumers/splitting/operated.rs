//! What operators do to a consumer that is split, and what is refused.

use std::sync::atomic::Ordering;

use chassis::Shutdown;
use database::{Options, params};
use event_store::{
    Consumers,
    consumer::{Beyond, Fault, OperatorError, Start, State},
};
use testkit::{Backend, eventually};

use super::{append_rounds, arrived, becomes_whole, is_whole, names, race, split};
use crate::{
    consumers::{
        beside::{self, Lines, make_lines},
        handler::{Journal, Mood, NAME, journal_database, start},
    },
    fixture::{PATIENCE, log_apart, service, soon},
};

testkit::both_databases!(
    pause_and_resume_by_the_consumers_name_act_on_all_parts_and_by_a_parts_on_that,
    a_replay_empties_once_and_takes_all_parts_back_also_what_former_ones_had_handled,
    all_parts_go_over_to_a_restored_log_with_what_former_ones_had_handled,
    a_replica_that_has_not_heard_of_a_replay_counts_on_no_former_part,
    what_is_parked_is_found_by_the_consumers_name_and_by_its_parts,
    a_split_consumer_is_not_built_beside_and_waits_for_a_second_copy_to_be_given_up,
    a_split_consumer_does_not_begin_anew_whatever_is_missing,
);

async fn pause_and_resume_by_the_consumers_name_act_on_all_parts_and_by_a_parts_on_that(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let running = split(&database, &log, &Journal::new(), 3);
    let before = append_rounds(&log, 1).await;
    running.at(before).await;
    running.consumers.pause(NAME).await.unwrap();
    running.is(State::Paused).await;
    let list = running.consumers.list().await.unwrap();
    assert!(list.iter().all(|part| part.paused));
    let head = append_rounds(&log, 1).await;
    running.stop().await;
    // What was stopped stays so in whatever number of parts.
    let running = split(&database, &log, &Journal::new(), 2);
    running.is(State::Paused).await;
    let status = running.consumers.status(NAME).await.unwrap().unwrap();
    assert_eq!((status.name.as_str(), status.state), (NAME, "paused"));
    assert_eq!((status.position, status.lag), (before, head - before));
    is_whole(&database, before).await;

    running.consumers.resume("journal.1of2").await.unwrap();
    let first = running.consumers.progress("journal.1of2").unwrap();
    soon(first.caught_up_to(head)).await;
    let other = running.consumers.progress("journal.2of2").unwrap();
    assert_eq!((other.state(), other.position()), (State::Paused, before));
    running.consumers.resume(NAME).await.unwrap();
    running.at(head).await;
    is_whole(&database, head).await;
    for nobody in ["journal.1of3", "nobody"] {
        let unknown = running.consumers.pause(nobody).await;
        assert!(matches!(unknown, Err(OperatorError::UnknownConsumer(_))));
    }
    running.stop().await;
}

async fn a_replay_empties_once_and_takes_all_parts_back_also_what_former_ones_had_handled(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    let head = append_rounds(&log, 3).await;
    for parts in [4, 2] {
        // One part is held up, and the others go on: the next number knows what these handled.
        journal.mood("s3", Mood::Fails(Fault::Transient), u32::MAX);
        let running = split(&database, &log, &journal, parts);
        eventually(PATIENCE, || async {
            arrived(&running).await == (usize::from(parts) - 1, 1)
        })
        .await;
        if parts == 4 {
            running.stop().await;
            continue;
        }
        let consumers = &running.consumers;
        let alone = consumers.replay("journal.1of2", Start::Beginning).await;
        let Err(OperatorError::NotRewindable(why)) = alone else {
            panic!("{alone:?}");
        };
        assert!(why.contains("name journal instead"), "{why}");
        let adopted = consumers.adopt("journal.1of2", Beyond::Refuse).await;
        assert!(matches!(adopted, Err(OperatorError::NotAdoptable(_))));
        consumers.replay(NAME, Start::Beginning).await.unwrap();
        assert_eq!(journal.resets.load(Ordering::SeqCst), 1);
        journal.cheer_up();
        running.at(head).await;
        becomes_whole(&database, head).await;
        consumers.replay(NAME, Start::After(12)).await.unwrap();
        becomes_whole(&database, head).await;
        let beyond = consumers.replay(NAME, Start::After(head + 1)).await;
        assert!(matches!(beyond, Err(OperatorError::NotRewindable(_))));
        running.stop().await;
    }
}

async fn all_parts_go_over_to_a_restored_log_with_what_former_ones_had_handled(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    append_rounds(&log, 3).await;
    journal.mood("s3", Mood::Fails(Fault::Transient), u32::MAX);
    let running = split(&database, &log, &journal, 4);
    eventually(PATIENCE, || async { arrived(&running).await == (3, 1) }).await;
    running.stop().await;
    let running = split(&database, &log, &journal, 2);
    eventually(PATIENCE, || async { arrived(&running).await == (1, 1) }).await;

    log.begin_epoch("restored from monday", "ann")
        .await
        .unwrap();
    let head = append_rounds(&log, 1).await;
    let progress = running.consumers.progress(NAME).unwrap();
    soon(progress.until_state(|state| matches!(state, State::Refused(_)))).await;
    let consumers = &running.consumers;
    consumers.adopt(NAME, Beyond::Refuse).await.unwrap();
    journal.cheer_up();
    running.at(head).await;
    is_whole(&database, head).await;
    running.stop().await;
}

/// The one part stands at the beginning before and after, so its checkpoint alone tells nothing.
async fn a_replica_that_has_not_heard_of_a_replay_counts_on_no_former_part(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    let head = append_rounds(&log, 3).await;
    // The log's first event.
    journal.mood("s0", Mood::Fails(Fault::Transient), u32::MAX);
    let running = split(&database, &log, &journal, 4);
    eventually(PATIENCE, || async { arrived(&running).await == (3, 1) }).await;
    running.stop().await;
    let running = split(&database, &log, &journal, 1);
    let calls = || journal.calls.load(Ordering::SeqCst);
    running.is(State::Running).await;
    let so_far = calls();
    eventually(PATIENCE, || async { calls() > so_far }).await;
    // Another process: its acts raise no signal in this one.
    let elsewhere = backend.open(Options::default()).await;
    let other = Consumers::new(elsewhere, log.clone()).add(journal.clone());
    other.replay(NAME, Start::Beginning).await.unwrap();
    journal.cheer_up();
    running.at(head).await;
    becomes_whole(&database, head).await;
    running.stop().await;
}

async fn what_is_parked_is_found_by_the_consumers_name_and_by_its_parts(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    for stream in 0..12 {
        let stream = format!("s{stream}");
        journal.mood(&stream, Mood::Fails(Fault::Poison), u32::MAX);
    }
    let running = split(&database, &log, &journal, 3);
    let head = append_rounds(&log, 2).await;
    running.at(head).await;
    journal.cheer_up();
    let consumers = &running.consumers;
    let parked = consumers.parked(Some(NAME), 100).await.unwrap();
    assert_eq!(parked.len(), 24);
    let status = consumers.status(NAME).await.unwrap().unwrap();
    assert_eq!((status.parked, status.lag), (24, 0));
    let first = &parked[0];
    let of_part = consumers.parked(Some(&first.consumer), 100).await.unwrap();
    assert!(of_part.len() < 24 && of_part[0].event_id == first.event_id);
    consumers.parked_event(NAME, first.event_id).await.unwrap();
    let retried = consumers.retry(NAME, first.event_id).await.unwrap();
    assert_eq!(retried.handled, 2);
    let (second, third) = (&parked[1], &parked[2]);
    let retried = consumers.retry_alone(NAME, second.event_id).await.unwrap();
    assert_eq!(retried.handled, 1);
    let discarded = consumers.discard(&third.consumer, third.event_id).await;
    assert_eq!(discarded.unwrap().handled, 1);
    let all = consumers.retry_all(NAME, 0).await.unwrap();
    assert_eq!((all.handled, all.failed, all.next), (19, 0, None));
    assert!(consumers.parked(None, 100).await.unwrap().is_empty());
    running.stop().await;
}

async fn a_split_consumer_is_not_built_beside_and_waits_for_a_second_copy_to_be_given_up(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    make_lines(&database).await;
    let begun = Consumers::new(database.clone(), log.clone()).add(Lines::default());
    begun.list().await.unwrap();
    begun.rebuild(beside::NAME).await.unwrap();
    let consumers = Consumers::new(database.clone(), log.clone())
        .with_options(race())
        .add_split(Lines::default(), 2);
    let stop = Shutdown::new();
    let (running, end) = (consumers.clone(), stop.clone());
    let task = tokio::spawn(async move { running.run(None, end).await });
    let progress = consumers.progress(beside::NAME).unwrap();
    let waits = |state: &State| matches!(state, State::Waiting(why) if why.contains("abandon"));
    soon(progress.until_state(waits)).await;
    for refused in [
        consumers.rebuild(beside::NAME).await,
        consumers.swap(beside::NAME).await,
        consumers.rebuild("lines.1of2").await,
    ] {
        let Err(OperatorError::NotBuiltBeside(why)) = refused else {
            panic!("{refused:?}");
        };
        assert!(why.contains("lines"), "{why}");
    }
    consumers.abandon(beside::NAME).await.unwrap();
    soon(progress.until_state(|state| *state == State::Running)).await;
    assert_eq!(names(&database).await, ["lines.1of2", "lines.2of2"]);
    stop.trigger();
    soon(task).await.unwrap();
}

async fn a_split_consumer_does_not_begin_anew_whatever_is_missing(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let running = split(&database, &log, &Journal::new(), 2);
    let head = append_rounds(&log, 1).await;
    running.at(head).await;
    running.stop().await;
    // A process from before consumers could be split: it finds no checkpoint and makes one.
    let now = database.now().await.unwrap();
    let begins = database
        .execute(
            "INSERT INTO consumer_checkpoints (consumer, epoch, position, updated_at)
             VALUES ($1, $2, 0, $3)",
            params![NAME, log.epoch(), now],
        )
        .await;
    begins.unwrap_err();
    let sql = "DELETE FROM consumer_checkpoints WHERE consumer = 'journal.1of2'";
    database.execute(sql, params![]).await.unwrap();
    for parts in [2, 1] {
        let running = split(&database, &log, &Journal::new(), parts);
        let progress = running.consumers.progress(NAME).unwrap();
        soon(progress.until_state(|state| matches!(state, State::Refused(_)))).await;
        let reason = running.consumers.readiness().unwrap_err();
        assert!(
            reason.contains("banyan consumers replay journal"),
            "{reason}"
        );
        running.stop().await;
    }
    is_whole(&database, head).await;
    let running = split(&database, &log, &Journal::new(), 2);
    running
        .consumers
        .replay(NAME, Start::Beginning)
        .await
        .unwrap();
    running.at(head).await;
    becomes_whole(&database, head).await;
    running.stop().await;
    // And on to another number, and whole.
    let running = start(&database, &log, &Journal::new(), None);
    running.at(head).await;
    is_whole(&database, head).await;
    running.stop().await;
}
