use std::collections::HashSet;

use event_store::{Append, AppendError, ReadQuery};
use serde_json::json;
use testkit::Backend;
use uuid::Uuid;

use crate::fixture::{event, open_log, run_of};

testkit::both_databases!(
    positions_are_contiguous_from_1_and_events_come_back_as_they_were,
    a_batch_is_all_or_nothing_and_the_error_says_where_the_stream_is,
    the_same_batch_appended_twice_is_stored_once,
    an_id_never_belongs_to_two_contents,
    of_many_writers_of_one_version_exactly_one_wins,
    in_a_group_only_the_conflicting_caller_fails,
    any_version_takes_whatever_is_next,
    a_batch_may_repeat_some_events_and_add_others,
    stored_events_cannot_be_changed_or_deleted,
    what_a_database_cannot_hold_is_refused_beforehand,
    a_log_keeps_its_identity_and_its_events_over_a_restart,
);

async fn positions_are_contiguous_from_1_and_events_come_back_as_they_were(backend: Backend) {
    let log = open_log(&backend).await;
    let batch = run_of("a", 3);
    let appended = log.append(batch.clone()).await.unwrap();
    let positions: Vec<_> = appended.iter().map(|a| (a.position, a.version)).collect();
    assert_eq!(positions, [(1, 1), (2, 2), (3, 3)]);
    assert!(appended.iter().all(|a| !a.duplicate));
    let read = log.read(&ReadQuery::after(0)).await.unwrap();
    let events: Vec<_> = read.iter().map(|r| r.event.clone()).collect();
    assert_eq!(
        events,
        batch.into_iter().map(|a| a.event).collect::<Vec<_>>()
    );
    assert!(read.iter().all(|r| r.epoch == log.epoch()));
    assert_eq!(log.head().await.unwrap().position, 3);
}

async fn a_batch_is_all_or_nothing_and_the_error_says_where_the_stream_is(backend: Backend) {
    let log = open_log(&backend).await;
    log.append(run_of("a", 2)).await.unwrap();
    let taken = vec![Append::exact(event("b", 1)), Append::exact(event("a", 2))];
    let error = log.append(taken).await.unwrap_err();
    assert!(
        matches!(&error, AppendError::Conflict { stream, version: 2, actual: 2 } if stream == "a")
    );
    assert!(!error.is_transient());
    let ahead = vec![Append::exact(event("b", 1)), Append::exact(event("a", 4))];
    let error = log.append(ahead).await.unwrap_err();
    assert!(matches!(
        &error,
        AppendError::Ahead {
            version: 4,
            actual: 2,
            ..
        }
    ));
    assert!(error.is_transient());
    assert_eq!(log.head().await.unwrap().position, 2);
    assert!(
        log.read(&ReadQuery::after(0).stream("b"))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn the_same_batch_appended_twice_is_stored_once(backend: Backend) {
    let log = open_log(&backend).await;
    let batch = run_of("a", 3);
    let first = log.append(batch.clone()).await.unwrap();
    let again = log.append(batch.clone()).await.unwrap();
    assert!(again.iter().all(|a| a.duplicate));
    let places = |list: &[event_store::Appended]| {
        list.iter()
            .map(|a| (a.position, a.version))
            .collect::<Vec<_>>()
    };
    assert_eq!(places(&first), places(&again));
    // The same in one commit, from two callers.
    let other = run_of("b", 2);
    let both = log.append_each(vec![other.clone(), other]).await;
    assert!(!both[0].as_ref().unwrap()[0].duplicate);
    assert!(both[1].as_ref().unwrap()[0].duplicate);
    assert_eq!(log.head().await.unwrap().position, 5);
}

async fn an_id_never_belongs_to_two_contents(backend: Backend) {
    let log = open_log(&backend).await;
    let original = event("a", 1);
    log.append(vec![original.clone().into()]).await.unwrap();
    let mut other = original.clone();
    other.payload = json!({ "other": true });
    let error = log.append(vec![other.into()]).await.unwrap_err();
    assert!(matches!(error, AppendError::IdReused { id, position: 1 } if id == original.id));
    let mut moved = original;
    moved.stream = "b".to_owned();
    assert!(log.append(vec![moved.into()]).await.is_err());
}

async fn of_many_writers_of_one_version_exactly_one_wins(backend: Backend) {
    let log = open_log(&backend).await;
    for version in 1..=10 {
        let writers = (0..16).map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(vec![event("race", version).into()]).await })
        });
        let results: Vec<_> = futures::future::join_all(writers).await;
        let won = results
            .iter()
            .filter(|r| r.as_ref().unwrap().is_ok())
            .count();
        assert_eq!(won, 1, "version {version}");
        assert!(
            results
                .into_iter()
                .filter_map(|r| r.unwrap().err())
                .all(|error| {
                    matches!(error, AppendError::Conflict { actual, .. } if actual == version)
                })
        );
    }
    assert_eq!(log.head().await.unwrap().position, 10);
}

async fn in_a_group_only_the_conflicting_caller_fails(backend: Backend) {
    let log = open_log(&backend).await;
    log.append(run_of("a", 1)).await.unwrap();
    let results = log
        .append_each(vec![
            vec![event("b", 1).into()],
            vec![event("c", 1).into(), event("a", 1).into()],
            vec![event("c", 1).into()],
            vec![event("b", 2).into()],
        ])
        .await;
    let positions: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().map(|a| a[0].position).unwrap_or_default())
        .collect();
    assert_eq!(positions, [2, 0, 3, 4]);
    assert!(matches!(results[1], Err(AppendError::Conflict { .. })));
    assert_eq!(log.head().await.unwrap().position, 4);
}

async fn any_version_takes_whatever_is_next(backend: Backend) {
    let log = open_log(&backend).await;
    log.append(run_of("a", 2)).await.unwrap();
    let batch = vec![Append::any(event("a", 99)), Append::any(event("a", 0))];
    let appended = log.append(batch.clone()).await.unwrap();
    assert_eq!(
        appended.iter().map(|a| a.version).collect::<Vec<_>>(),
        [3, 4]
    );
    let again = log.append(batch).await.unwrap();
    assert_eq!(again.iter().map(|a| a.version).collect::<Vec<_>>(), [3, 4]);
    let read = log.read(&ReadQuery::after(0).stream("a")).await.unwrap();
    assert_eq!(
        read.iter().map(|r| r.event.version).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
}

async fn a_batch_may_repeat_some_events_and_add_others(backend: Backend) {
    let log = open_log(&backend).await;
    let batch = run_of("a", 4);
    log.append(batch[..2].to_vec()).await.unwrap();
    let appended = log.append(batch).await.unwrap();
    let places: Vec<_> = appended.iter().map(|a| (a.position, a.duplicate)).collect();
    assert_eq!(places, [(1, true), (2, true), (3, false), (4, false)]);
}

async fn stored_events_cannot_be_changed_or_deleted(backend: Backend) {
    let log = open_log(&backend).await;
    log.append(run_of("a", 2)).await.unwrap();
    let mut statements = vec!["UPDATE events SET stream = 'x'", "DELETE FROM events"];
    if backend.name == "postgres" {
        statements.push("TRUNCATE events");
    }
    for statement in statements {
        let error = log.database().execute(statement, vec![]).await.unwrap_err();
        assert!(
            error.to_string().contains("never change"),
            "{statement}: {error}"
        );
    }
    assert_eq!(log.read(&ReadQuery::after(0)).await.unwrap().len(), 2);
}

async fn what_a_database_cannot_hold_is_refused_beforehand(backend: Backend) {
    let log = open_log(&backend).await;
    let mut nul = event("a", 1);
    nul.payload = json!({ "text": "a\0b" });
    let mut scalar = event("a", 1);
    scalar.payload = json!(7);
    let mut huge = event("a", 1);
    huge.payload = json!({ "text": "x".repeat(event_store::log::MAX_EVENT_BYTES) });
    for bad in [nul, scalar, huge] {
        let results = log.append_each(vec![vec![bad.into()], vec![]]).await;
        assert!(matches!(results[0], Err(AppendError::Invalid { .. })));
        assert!(results[1].is_ok());
    }
    assert_eq!(log.head().await.unwrap().position, 0);
}

async fn a_log_keeps_its_identity_and_its_events_over_a_restart(backend: Backend) {
    let log = open_log(&backend).await;
    log.append(run_of("a", 3)).await.unwrap();
    let epoch = log.epoch();
    drop(log);
    let log = open_log(&backend).await;
    assert_eq!(log.epoch(), epoch);
    assert_eq!(log.head().await.unwrap().position, 3);
    let ids: HashSet<Uuid> = log
        .read(&ReadQuery::after(0))
        .await
        .unwrap()
        .iter()
        .map(|r| r.event.id)
        .collect();
    assert_eq!(ids.len(), 3);
}
