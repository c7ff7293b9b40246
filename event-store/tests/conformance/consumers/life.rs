use std::sync::Arc;

use chassis::Shutdown;
use database::{Options, params};
use event_store::{
    Append, Consumers, Handler, Kind,
    consumer::{ConsumerOptions, Fault, OperatorError, Replicas, Start, State},
    outbox,
};
use testkit::{Backend, CommitFaults, eventually};

use super::handler::{
    Journal, Mood, NAME, Running, checkpoint, handled, journal_database, options, start, start_with,
};
use super::lines::Lines;
use crate::fixture::{
    PATIENCE, another, append_to, event, log_apart, open_log, run_of, soon, typed,
};

testkit::both_databases!(
    every_event_is_handled_once_and_in_order_over_restarts,
    two_replicas_race_and_every_event_is_handled_once,
    a_crash_at_any_commit_neither_loses_nor_repeats_an_effect,
    many_events_share_a_transaction,
    each_event_leaves_a_line_also_where_many_share_a_transaction,
    foreign_types_are_passed_over_without_a_commit_each,
    a_transient_error_holds_the_checkpoint_until_it_is_over,
    a_paused_consumer_stands_still_until_it_is_resumed_also_over_a_restart,
    a_replayed_projection_is_emptied_and_built_again,
    a_replay_is_not_told_as_read_by_a_replica_that_has_not_heard_of_it,
    a_process_is_never_replayed,
    a_log_of_another_epoch_is_refused_loudly_and_never_skipped,
    a_checkpoint_beyond_the_head_is_refused,
);

async fn every_event_is_handled_once_and_in_order_over_restarts(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    append_to(&log, &["a", "b", "a"]).await;
    let running = start(&database, &log, &journal, None);
    running.at(3).await;
    append_to(&log, &["b"]).await;
    running.at(4).await;
    running.stop().await;
    append_to(&log, &["a", "b"]).await;
    let running = start(&database, &log, &journal, None);
    running.at(6).await;
    assert_eq!(handled(&database).await, [1, 2, 3, 4, 5, 6]);
    let list = running.consumers.list().await.unwrap();
    assert_eq!(
        (list[0].position, list[0].lag, list[0].state),
        (6, 0, "running")
    );
    running.stop().await;
}

async fn two_replicas_race_and_every_event_is_handled_once(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let race = ConsumerOptions {
        replicas: Replicas::Race,
        ..options()
    };
    let replicas: Vec<Running> = (0..2)
        .map(|_| start_with(&database, &log, &Journal::new(), None, race))
        .collect();
    for round in 0..20 {
        append_to(&log, &["a", "b", "c"][..1 + round % 3]).await;
    }
    let head = log.head().await.unwrap().position;
    for replica in &replicas {
        replica.at(head).await;
    }
    assert_eq!(handled(&database).await, (1..=head).collect::<Vec<_>>());
    for replica in replicas {
        replica.stop().await;
    }
}

async fn a_crash_at_any_commit_neither_loses_nor_repeats_an_effect(backend: Backend) {
    for commit in 1..=4 {
        for after in [false, true] {
            let (log, _place) = log_apart(&backend).await;
            let place = another(&backend).await;
            drop(journal_database(&place).await);
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
            let running = start(&database, &log, &Journal::new(), None);
            let mut head = 0;
            while !faults.is_dead() {
                head = append_to(&log, &["a", "b"]).await;
                eventually(PATIENCE, || async {
                    faults.is_dead() || running.consumers.progress(NAME).unwrap().position() == head
                })
                .await;
            }
            faults.revive();
            running.at(head).await;
            let expected = (1..=head).collect::<Vec<_>>();
            assert_eq!(
                handled(&database).await,
                expected,
                "commit {commit}, after: {after}"
            );
            running.stop().await;
        }
    }
}

async fn many_events_share_a_transaction(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    log.append(run_of("a", 300)).await.unwrap();
    let running = start(&database, &log, &journal, None);
    running.at(300).await;
    assert_eq!(*journal.batches.lock().unwrap(), [256, 44]);
    assert_eq!(handled(&database).await, (1..=300).collect::<Vec<_>>());
    // A failing batch is taken one by one, and only the bad event is set aside.
    journal.mood("bad", Mood::Fails(Fault::Poison), u32::MAX);
    append_to(&log, &["a", "bad", "b"]).await;
    running.at(303).await;
    assert_eq!(handled(&database).await[300..], [301, 303]);
    running.stop().await;
}

async fn each_event_leaves_a_line_also_where_many_share_a_transaction(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let lines = Lines::default();
    let _heard = tracing::subscriber::set_default(lines.clone());
    append_to(&log, &["a", "b", "c"]).await;
    let journal = Journal::new();
    let running = start(&database, &log, &journal, None);
    running.at(3).await;
    append_to(&log, &["d"]).await;
    running.at(4).await;
    running.stop().await;
    assert_eq!(*journal.batches.lock().unwrap(), [3]);
    assert_eq!(*lines.positions.lock().unwrap(), [1, 2, 3, 4]);
}

async fn foreign_types_are_passed_over_without_a_commit_each(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let place = another(&backend).await;
    drop(journal_database(&place).await);
    let faults = CommitFaults::new();
    let hook = Options {
        commit_hook: Some(faults.clone()),
        ..Options::default()
    };
    let database = place.open(hook).await;
    let mut journal = Journal::new();
    journal.types = &["wanted"];
    log.append(run_of("a", 600)).await.unwrap();
    log.append(vec![Append::exact(typed("w", 1, "wanted"))])
        .await
        .unwrap();
    log.append(run_of("b", 900)).await.unwrap();
    let running = start(&database, &log, &journal, None);
    running.at(1_501).await;
    assert_eq!(handled(&database).await, [601]);
    assert_eq!(
        checkpoint(&database).await,
        601.max(checkpoint(&database).await)
    );
    assert_eq!(faults.commits(), 2, "the new checkpoint and the one event");
    running.stop().await;
    assert_eq!(checkpoint(&database).await, 1_501, "stored when it stopped");
}

async fn a_transient_error_holds_the_checkpoint_until_it_is_over(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    // More often than an unclear error may come before it is parked.
    journal.mood("a", Mood::Fails(Fault::Transient), 12);
    append_to(&log, &["a", "b"]).await;
    let running = start(&database, &log, &journal, None);
    running.at(2).await;
    assert_eq!(handled(&database).await, [1, 2]);
    assert!(running.consumers.parked(None, 10).await.unwrap().is_empty());
    running.stop().await;
}

async fn a_paused_consumer_stands_still_until_it_is_resumed_also_over_a_restart(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    running.consumers.pause(NAME).await.unwrap();
    let progress = running.consumers.progress(NAME).unwrap();
    soon(progress.until_state(|state| *state == State::Paused)).await;
    append_to(&log, &["a"]).await;
    running.stop().await;
    let running = start(&database, &log, &journal, None);
    let progress = running.consumers.progress(NAME).unwrap();
    soon(progress.until_state(|state| *state == State::Paused)).await;
    assert_eq!(handled(&database).await, [1]);
    let list = running.consumers.list().await.unwrap();
    assert!(list[0].paused);
    assert_eq!(list[0].lag, 1);
    running.consumers.resume(NAME).await.unwrap();
    running.at(2).await;
    assert_eq!(handled(&database).await, [1, 2]);
    assert!(matches!(
        running.consumers.pause("nobody").await,
        Err(OperatorError::UnknownConsumer(_))
    ));
    running.stop().await;
}

async fn a_replayed_projection_is_emptied_and_built_again(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("bad", Mood::Fails(Fault::Poison), u32::MAX);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a", "bad", "b"]).await;
    running.at(3).await;
    assert_eq!(handled(&database).await, [1, 3]);
    database
        .execute("DELETE FROM journal WHERE position = 3", params![])
        .await
        .unwrap();
    journal.cheer_up();
    running
        .consumers
        .replay(NAME, Start::Beginning)
        .await
        .unwrap();
    eventually(PATIENCE, || async { handled(&database).await == [1, 2, 3] }).await;
    assert!(running.consumers.parked(None, 10).await.unwrap().is_empty());
    running.stop().await;
}

async fn a_replay_is_not_told_as_read_by_a_replica_that_has_not_heard_of_it(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    append_to(&log, &["a", "b"]).await;
    let running = start(&database, &log, &journal, None);
    running.at(2).await;
    // From now on nothing can be read again, even when it hears of the replay.
    journal.mood("a", Mood::Fails(Fault::Transient), u32::MAX);
    // Another process: its acts raise no signal in this one.
    let elsewhere = backend.open(Options::default()).await;
    let other = Consumers::new(elsewhere, log.clone()).add(journal.clone());
    other.replay(NAME, Start::Beginning).await.unwrap();
    for replica in [&running.consumers, &other] {
        let list = replica.list().await.unwrap();
        assert_eq!((list[0].position, list[0].lag), (0, 2));
    }
    running.stop().await;
}

async fn a_process_is_never_replayed(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let mut journal = Journal::new();
    journal.kind = Kind::Process;
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    let refused = running
        .consumers
        .replay(journal.name(), Start::Beginning)
        .await;
    assert!(matches!(refused, Err(OperatorError::NotReplayable(NAME))));
    running.stop().await;
    assert_eq!(handled(&database).await, [1]);
    assert_eq!(checkpoint(&database).await, 1);
}

async fn a_log_of_another_epoch_is_refused_loudly_and_never_skipped(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let running = start(&database, &log, &Journal::new(), None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    running.stop().await;

    let other_place = another(&backend).await;
    let other = open_log(&other_place).await;
    append_to(&other, &["x", "y", "z"]).await;
    let running = start(&database, &other, &Journal::new(), None);
    let progress = running.consumers.progress(NAME).unwrap();
    soon(progress.until_state(|state| matches!(state, State::Refused(_)))).await;
    let reason = running.consumers.readiness().unwrap_err();
    assert!(reason.contains(&log.epoch().to_string()), "{reason}");
    let list = running.consumers.list().await.unwrap();
    assert_eq!(list[0].state, "refused");
    assert_eq!(handled(&database).await, [1]);
    assert_eq!(checkpoint(&database).await, 1);
    // The way out of a projection: build it again from the new log.
    running
        .consumers
        .replay(NAME, Start::Beginning)
        .await
        .unwrap();
    running.at(3).await;
    assert_eq!(handled(&database).await, [1, 2, 3]);
    assert!(running.consumers.readiness().is_ok());
    running.stop().await;
}

async fn a_checkpoint_beyond_the_head_is_refused(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = backend.open(Options::default()).await;
    database.migrate(outbox::migrations()).await.unwrap();
    log.append(vec![Append::exact(event("a", 1))])
        .await
        .unwrap();
    let now = database.now().await.unwrap();
    database
        .execute(
            "INSERT INTO consumer_checkpoints (consumer, epoch, position, updated_at)
             VALUES ($1, $2, 7, $3)",
            params![NAME, log.epoch(), now],
        )
        .await
        .unwrap();
    let consumers = Consumers::new(database.clone(), log.clone())
        .with_options(options())
        .add_shared(Arc::new(Journal::new()));
    let stop = Shutdown::new();
    let (running, end) = (consumers.clone(), stop.clone());
    let task = tokio::spawn(async move { running.run(None, end).await });
    let progress = consumers.progress(NAME).unwrap();
    soon(progress.until_state(|state| matches!(state, State::Refused(_)))).await;
    assert!(
        consumers
            .readiness()
            .unwrap_err()
            .contains("beyond the log's head 1")
    );
    assert_eq!(checkpoint(&database).await, 7);
    stop.trigger();
    soon(task).await.unwrap();
}
