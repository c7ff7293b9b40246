//! An event that lies in a file is known all the same.

use event_store::{Append, AppendError, ReadQuery};
use serde_json::json;
use testkit::Backend;

use super::Kept;
use crate::fixture::{event, run_of};

testkit::both_databases!(
    a_repeat_of_an_archived_event_gets_its_old_place,
    another_event_with_an_archived_id_is_refused,
    a_stream_goes_on_where_it_ended_in_a_file,
    a_group_of_old_and_new_events_is_told_apart,
    a_range_that_is_noted_and_not_yet_removed_answers_as_before,
);

/// Streams `a` (1 to 6) and `b` (7 and 8), all in files, and `c` (9) in the table.
async fn archived(backend: Backend) -> (Kept, Vec<Append>) {
    let kept = Kept::with(backend).await;
    let mut batch = run_of("a", 6);
    batch.extend(run_of("b", 2));
    kept.log.append(batch.clone()).await.unwrap();
    kept.archive().await;
    kept.remove_to(8).await;
    kept.log.append(run_of("c", 1)).await.unwrap();
    (kept, batch)
}

async fn a_repeat_of_an_archived_event_gets_its_old_place(backend: Backend) {
    let (kept, batch) = archived(backend).await;
    for (append, position) in batch.iter().zip(1..) {
        let again = kept.log.append(vec![append.clone()]).await.unwrap();
        assert_eq!((again[0].position, again[0].duplicate), (position, true));
        assert_eq!(again[0].version, append.event.version);
        let any = Append::any(append.event.clone());
        let again = kept.log.append(vec![any]).await.unwrap();
        assert_eq!((again[0].position, again[0].duplicate), (position, true));
    }
    let again = kept.log.append(batch).await.unwrap();
    assert!(again.iter().all(|place| place.duplicate), "{again:?}");
    assert_eq!(kept.log.head().await.unwrap().position, 9);
}

async fn another_event_with_an_archived_id_is_refused(backend: Backend) {
    let (kept, batch) = archived(backend).await;
    let first = &batch[0].event;
    let mut elsewhere = event("d", 1);
    elsewhere.id = first.id;
    let mut of_another_type = first.clone();
    of_another_type.event_type = "user.created".to_owned();
    let mut later = first.clone();
    later.version = 2;
    for reused in [elsewhere, of_another_type, later] {
        let refused = kept.log.append(vec![Append::exact(reused)]).await;
        let expected = matches!(
            refused,
            Err(AppendError::IdReused { id, position: 1 }) if id == first.id
        );
        assert!(expected, "{refused:?}");
    }
}

async fn a_stream_goes_on_where_it_ended_in_a_file(backend: Backend) {
    let (kept, _) = archived(backend).await;
    let taken = kept.log.append(vec![event("a", 6).into()]).await;
    let expected = matches!(
        taken,
        Err(AppendError::Conflict {
            version: 6,
            actual: 6,
            ..
        })
    );
    assert!(expected, "{taken:?}");
    let ahead = kept.log.append(vec![event("a", 8).into()]).await;
    let expected = matches!(
        ahead,
        Err(AppendError::Ahead {
            version: 8,
            actual: 6,
            ..
        })
    );
    assert!(expected, "{ahead:?}");
    let next = kept.log.append(vec![event("a", 7).into()]).await.unwrap();
    assert_eq!((next[0].position, next[0].version), (10, 7));
    let any = Append::any(event("b", 0));
    let next = kept.log.append(vec![any]).await.unwrap();
    assert_eq!((next[0].position, next[0].version), (11, 3));
    let new = kept.log.append(run_of("new", 1)).await.unwrap();
    assert_eq!((new[0].position, new[0].version), (12, 1));
    let query = ReadQuery::after(0).stream("a");
    let versions = kept.log.read(&query).await.unwrap();
    let versions: Vec<_> = versions.iter().map(|event| event.event.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
}

async fn a_group_of_old_and_new_events_is_told_apart(backend: Backend) {
    let (kept, batch) = archived(backend).await;
    let mixed = vec![batch[2].clone(), event("a", 7).into(), batch[6].clone()];
    let mut refused = event("z", 1);
    refused.id = batch[0].event.id;
    refused.payload = json!({});
    let alone = vec![event("e", 1).into()];
    let answers = kept
        .log
        .append_each(vec![mixed, vec![refused.into()], alone])
        .await;
    let places: Vec<_> = answers[0].as_ref().unwrap().iter().collect();
    let places: Vec<_> = places.iter().map(|p| (p.position, p.duplicate)).collect();
    assert_eq!(places, [(3, true), (10, false), (7, true)]);
    let is_refused = matches!(answers[1], Err(AppendError::IdReused { position: 1, .. }));
    assert!(is_refused, "{:?}", answers[1]);
    assert_eq!(answers[2].as_ref().unwrap()[0].position, 11);
}

async fn a_range_that_is_noted_and_not_yet_removed_answers_as_before(backend: Backend) {
    let kept = Kept::with(backend).await;
    let batch = run_of("a", 4);
    kept.log.append(batch.clone()).await.unwrap();
    kept.archive().await;
    let (fragile, faults) = kept.fragile().await;
    // The lease, then the note, then the rows.
    faults.die_before(3);
    let retention = super::retention(&fragile, kept.folder.path(), std::time::Duration::ZERO);
    testkit::eventually(crate::fixture::PATIENCE, || async {
        if retention.pass().await.is_ok() {
            // The clock was behind: nothing was closed yet.
            faults.revive();
            faults.die_before(3);
        }
        faults.is_dead()
    })
    .await;
    let (keys,): (i64,) = kept
        .log
        .database()
        .fetch_one("SELECT keys_to FROM log_head", vec![])
        .await
        .unwrap();
    assert_eq!((keys, kept.log.archived_to().await.unwrap()), (4, 0));
    assert_eq!(kept.rows().await, [1, 2, 3, 4]);
    let again = kept.log.append(batch).await.unwrap();
    assert!(again.iter().all(|place| place.duplicate), "{again:?}");
    let next = kept.log.append(vec![event("a", 5).into()]).await.unwrap();
    assert_eq!((next[0].position, next[0].version), (5, 5));
    let read = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    assert_eq!(read.len(), 5);
}
