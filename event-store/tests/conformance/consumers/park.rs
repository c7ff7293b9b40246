use event_store::consumer::{Fault, OperatorError, Order, Retried, RetriedAll};
use testkit::Backend;
use uuid::Uuid;

use super::handler::{Journal, Mood, NAME, checkpoint, handled, journal_database, start};
use crate::fixture::{append_to, log_apart};

testkit::both_databases!(
    a_poison_event_parks_its_stream_and_a_retry_drains_it_in_order,
    an_unclear_error_is_parked_after_some_tries_and_a_panic_too,
    a_retry_that_fails_again_keeps_everything_parked,
    discarding_lets_those_that_waited_go_on,
    where_order_is_unimportant_only_the_bad_event_is_parked,
    one_event_is_retried_alone_before_those_that_it_waits_behind,
    all_that_is_parked_is_retried_stream_by_stream_in_order,
    all_that_is_parked_is_retried_event_by_event_where_order_is_unimportant,
);

async fn a_poison_event_parks_its_stream_and_a_retry_drains_it_in_order(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("a", Mood::Fails(Fault::Poison), 1);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    append_to(&log, &["a", "b", "a"]).await;
    running.at(4).await;
    assert_eq!(handled(&database).await, [3], "the other stream went on");
    assert_eq!(checkpoint(&database).await, 4);
    let parked = running.consumers.parked(Some(NAME), 10).await.unwrap();
    let seen: Vec<_> = parked.iter().map(|p| (p.position, p.attempts)).collect();
    assert_eq!(seen, [(1, 1), (2, 0), (4, 0)]);
    assert_eq!(parked[0].error, "bad event");
    assert_eq!(running.consumers.list().await.unwrap()[0].parked, 3);
    // Also over a restart the stream's later events wait.
    running.stop().await;
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(5).await;
    let retried = running
        .consumers
        .retry(NAME, parked[1].event_id)
        .await
        .unwrap();
    assert_eq!(
        retried,
        Retried {
            handled: 4,
            error: None
        }
    );
    assert_eq!(handled(&database).await, [3, 1, 2, 4, 5]);
    assert!(running.consumers.parked(None, 10).await.unwrap().is_empty());
    // The stream is free again, without a restart.
    append_to(&log, &["a"]).await;
    running.at(6).await;
    assert_eq!(handled(&database).await, [3, 1, 2, 4, 5, 6]);
    running.stop().await;
}

async fn an_unclear_error_is_parked_after_some_tries_and_a_panic_too(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("patient", Mood::Fails(Fault::Unclear), 4);
    journal.mood("hopeless", Mood::Fails(Fault::Unclear), u32::MAX);
    journal.mood("buggy", Mood::Panics, u32::MAX);
    let running = start(&database, &log, &journal, None);
    for stream in ["patient", "hopeless", "buggy", "fine"] {
        let position = append_to(&log, &[stream]).await;
        running.at(position).await;
    }
    assert_eq!(handled(&database).await, [1, 4]);
    let parked = running.consumers.parked(None, 10).await.unwrap();
    let seen: Vec<_> = parked
        .iter()
        .map(|p| (p.position, p.attempts, p.error.as_str()))
        .collect();
    assert_eq!(seen, [(2, 5, "who knows"), (3, 5, "panicked: a bug")]);
    running.stop().await;
}

async fn a_retry_that_fails_again_keeps_everything_parked(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("a", Mood::Fails(Fault::Poison), 2);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    append_to(&log, &["a"]).await;
    running.at(2).await;
    let parked = running.consumers.parked(None, 10).await.unwrap();
    let retried = running
        .consumers
        .retry(NAME, parked[0].event_id)
        .await
        .unwrap();
    assert_eq!(
        retried,
        Retried {
            handled: 0,
            error: Some("bad event".to_owned())
        }
    );
    let again = running
        .consumers
        .parked_event(NAME, parked[0].event_id)
        .await
        .unwrap();
    assert_eq!(again.attempts, 2);
    assert_eq!(running.consumers.parked(None, 10).await.unwrap().len(), 2);
    assert!(handled(&database).await.is_empty());
    let nobody = running.consumers.retry(NAME, Uuid::nil()).await;
    assert!(matches!(nobody, Err(OperatorError::NotParked(_))));
    running.stop().await;
}

async fn discarding_lets_those_that_waited_go_on(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("a", Mood::Fails(Fault::Poison), 1);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    append_to(&log, &["a", "a"]).await;
    running.at(3).await;
    journal.cheer_up();
    let parked = running.consumers.parked(None, 10).await.unwrap();
    let discarded = running
        .consumers
        .discard(NAME, parked[0].event_id)
        .await
        .unwrap();
    assert_eq!(
        discarded,
        Retried {
            handled: 2,
            error: None
        }
    );
    assert_eq!(handled(&database).await, [2, 3]);
    assert!(running.consumers.parked(None, 10).await.unwrap().is_empty());
    running.stop().await;
}

async fn where_order_is_unimportant_only_the_bad_event_is_parked(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let mut journal = Journal::new();
    journal.order = Order::Unimportant;
    journal.mood("a", Mood::Fails(Fault::Poison), 1);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    append_to(&log, &["a"]).await;
    running.at(2).await;
    assert_eq!(handled(&database).await, [2]);
    let parked = running.consumers.parked(None, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    running
        .consumers
        .retry(NAME, parked[0].event_id)
        .await
        .unwrap();
    assert_eq!(handled(&database).await, [2, 1]);
    running.stop().await;
}

async fn one_event_is_retried_alone_before_those_that_it_waits_behind(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("a", Mood::Fails(Fault::Poison), 1);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    append_to(&log, &["a", "a"]).await;
    running.at(3).await;
    let consumers = &running.consumers;
    let parked = consumers.parked(None, 10).await.unwrap();
    let alone = consumers
        .retry_alone(NAME, parked[1].event_id)
        .await
        .unwrap();
    assert_eq!((alone.handled, alone.error), (1, None));
    assert_eq!(handled(&database).await, [2]);
    journal.mood("a", Mood::Fails(Fault::Poison), 1);
    let alone = consumers
        .retry_alone(NAME, parked[2].event_id)
        .await
        .unwrap();
    assert_eq!(
        (alone.handled, alone.error.as_deref()),
        (0, Some("bad event"))
    );
    let twice = consumers.retry_alone(NAME, parked[1].event_id).await;
    assert!(matches!(twice, Err(OperatorError::NotParked(_))));
    // The stream still waits, also with what comes.
    append_to(&log, &["a"]).await;
    running.at(4).await;
    let drained = consumers.retry(NAME, parked[0].event_id).await.unwrap();
    assert_eq!((drained.handled, drained.error), (3, None));
    assert_eq!(handled(&database).await, [2, 1, 3, 4]);
    running.stop().await;
}

async fn all_that_is_parked_is_retried_stream_by_stream_in_order(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    for stream in ["a", "b", "c"] {
        journal.mood(stream, Mood::Fails(Fault::Poison), u32::MAX);
    }
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a", "b", "a", "c", "b", "c", "a"]).await;
    running.at(7).await;
    journal.cheer_up();
    journal.mood("b", Mood::Fails(Fault::Poison), u32::MAX);
    let all = running.consumers.retry_all(NAME, 0).await.unwrap();
    let expected = RetriedAll {
        handled: 5,
        failed: 1,
        error: Some("bad event".to_owned()),
        next: None,
    };
    assert_eq!(all, expected);
    assert_eq!(handled(&database).await, [1, 3, 7, 4, 6]);
    journal.cheer_up();
    // Above where its stream begins there is nothing to take up.
    let all = running.consumers.retry_all(NAME, 2).await.unwrap();
    assert_eq!(all, RetriedAll::default());
    let all = running.consumers.retry_all(NAME, 1).await.unwrap();
    assert_eq!((all.handled, all.failed), (2, 0));
    assert!(running.consumers.parked(None, 10).await.unwrap().is_empty());
    let nobody = running.consumers.retry_all("nobody", 0).await;
    assert!(matches!(nobody, Err(OperatorError::UnknownConsumer(_))));
    running.stop().await;
}

async fn all_that_is_parked_is_retried_event_by_event_where_order_is_unimportant(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let mut journal = Journal::new();
    journal.order = Order::Unimportant;
    journal.mood("a", Mood::Fails(Fault::Poison), u32::MAX);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a", "a", "b", "a"]).await;
    running.at(4).await;
    // The first of them fails again, and the others go on.
    journal.mood("a", Mood::Fails(Fault::Poison), 1);
    let all = running.consumers.retry_all(NAME, 0).await.unwrap();
    assert_eq!((all.handled, all.failed), (2, 1));
    assert_eq!(handled(&database).await, [3, 2, 4]);
    running.stop().await;
}
