//! An aggregate is what all its events fold to, with a snapshot or without.

use contracts::Event;
use database::{Database, params};
use event_store::{
    Log,
    snapshot::{self, Aggregate, LoadError, Loaded},
};
use serde::{Deserialize, Serialize};
use testkit::Backend;

use crate::fixture::{append_to, log_apart, run_of, service};

testkit::both_databases!(
    a_snapshot_saves_reading_and_changes_nothing_of_what_is_loaded,
    a_snapshot_that_cannot_be_read_or_is_of_other_code_is_passed_over_and_replaced,
    a_snapshot_of_what_the_log_has_lost_is_passed_over,
    an_event_that_cannot_be_taken_in_is_told_and_nothing_is_loaded,
    what_is_forgotten_is_folded_from_the_log_again,
);

/// The ids of a stream's events, as a state that shows each one that is missing or doubled.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ids(Vec<uuid::Uuid>);

impl Aggregate for Ids {
    const KIND: &'static str = "ids";
    const SCHEMA_VERSION: i64 = 1;
    const KEEP_EVERY: i64 = 10;

    fn apply(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if event.event_type == "bad" {
            return Err("a bad event".into());
        }
        self.0.push(event.id);
        Ok(())
    }
}

/// The same kind by newer code: their number.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    events: i64,
}

impl Aggregate for Count {
    const KIND: &'static str = Ids::KIND;
    const SCHEMA_VERSION: i64 = 2;
    const KEEP_EVERY: i64 = 10;

    fn apply(&mut self, _event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.events += 1;
        Ok(())
    }
}

async fn two(backend: &Backend) -> (Log, Backend, Database) {
    let (log, place) = log_apart(backend).await;
    let database = service(backend).await;
    (log, place, database)
}

/// Loads it, checks it against the log, and says how many events were read.
async fn load(log: &Log, database: &Database, stream: &str) -> i64 {
    let Loaded {
        state,
        version,
        read,
    } = snapshot::load::<Ids>(log, database, stream).await.unwrap();
    let query = event_store::ReadQuery::after(0).stream(stream).limit(1_000);
    let events = log.read(&query).await.unwrap();
    let ids: Vec<_> = events.iter().map(|event| event.event.id).collect();
    assert_eq!(
        (state.0, version),
        (ids, i64::try_from(events.len()).unwrap())
    );
    read
}

async fn a_snapshot_saves_reading_and_changes_nothing_of_what_is_loaded(backend: Backend) {
    let (log, _place, database) = two(&backend).await;
    assert_eq!(load(&log, &database, "a").await, 0, "nothing is there");
    append_to(&log, &["a"; 9]).await;
    append_to(&log, &["b"; 3]).await;
    assert_eq!(load(&log, &database, "a").await, 9);
    assert_eq!(load(&log, &database, "a").await, 9, "too few to keep one");
    append_to(&log, &["a"; 2]).await;
    assert_eq!(load(&log, &database, "a").await, 11);
    append_to(&log, &["a", "b"]).await;
    assert_eq!(load(&log, &database, "a").await, 1);
    assert_eq!(load(&log, &database, "b").await, 4);
    // More than one page.
    log.append(run_of("long", 1_000)).await.unwrap();
    let more = (1_001..=1_500).map(|version| crate::fixture::event("long", version).into());
    log.append(more.collect()).await.unwrap();
    let loaded = snapshot::load::<Ids>(&log, &database, "long")
        .await
        .unwrap();
    assert_eq!((loaded.version, loaded.read), (1_500, 1_500));
    let loaded = snapshot::load::<Ids>(&log, &database, "long")
        .await
        .unwrap();
    assert_eq!((loaded.state.0.len(), loaded.read), (1_500, 0));
}

async fn a_snapshot_that_cannot_be_read_or_is_of_other_code_is_passed_over_and_replaced(
    backend: Backend,
) {
    let (log, _place, database) = two(&backend).await;
    append_to(&log, &["a"; 12]).await;
    assert_eq!(load(&log, &database, "a").await, 12);
    assert_eq!(load(&log, &database, "a").await, 0);
    let broken = params![serde_json::json!({ "neither": "shape" })];
    let sql = "UPDATE snapshots SET state = $1";
    database.execute(sql, broken).await.unwrap();
    assert_eq!(load(&log, &database, "a").await, 12);
    assert_eq!(load(&log, &database, "a").await, 0, "it was replaced");

    let newer = snapshot::load::<Count>(&log, &database, "a").await.unwrap();
    assert_eq!((newer.state.events, newer.read), (12, 12));
    let newer = snapshot::load::<Count>(&log, &database, "a").await.unwrap();
    assert_eq!((newer.state.events, newer.read), (12, 0));
    // A replica that still runs the old code.
    assert_eq!(load(&log, &database, "a").await, 12);
}

async fn a_snapshot_of_what_the_log_has_lost_is_passed_over(backend: Backend) {
    let (log, _place, database) = two(&backend).await;
    append_to(&log, &["a"; 12]).await;
    assert_eq!(load(&log, &database, "a").await, 12);
    // The same log under a new identity that lost nothing: the snapshot is as good as before.
    log.begin_epoch("nothing was lost", "ann").await.unwrap();
    assert_eq!(load(&log, &database, "a").await, 0);
    // Another past: fewer events, and then others at the same versions.
    let (other, _elsewhere) = log_apart(&backend).await;
    append_to(&other, &["a"; 11]).await;
    assert_eq!(load(&other, &database, "a").await, 11);
    append_to(&log, &["a"; 10]).await;
    assert_eq!(load(&log, &database, "a").await, 22);
    append_to(&other, &["a"; 20]).await;
    assert_eq!(load(&other, &database, "a").await, 31);
}

async fn an_event_that_cannot_be_taken_in_is_told_and_nothing_is_loaded(backend: Backend) {
    let (log, _place, database) = two(&backend).await;
    append_to(&log, &["a"; 12]).await;
    let bad = crate::fixture::typed("a", 13, "bad");
    let id = bad.id;
    log.append(vec![bad.into()]).await.unwrap();
    let refused = snapshot::load::<Ids>(&log, &database, "a")
        .await
        .unwrap_err();
    assert!(matches!(&refused, LoadError::Unreadable { id: told, .. } if *told == id));
    let sql = "SELECT COUNT(*) FROM snapshots";
    let (kept,): (i64,) = database.fetch_one(sql, params![]).await.unwrap();
    assert_eq!(kept, 0);
}

async fn what_is_forgotten_is_folded_from_the_log_again(backend: Backend) {
    let (log, _place, database) = two(&backend).await;
    for stream in ["a", "b"] {
        append_to(&log, &[stream; 12]).await;
        assert_eq!(load(&log, &database, stream).await, 12);
    }
    let mut tx = database.begin().await.unwrap();
    snapshot::forget(&mut tx, "a").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(load(&log, &database, "a").await, 12);
    assert_eq!(load(&log, &database, "b").await, 0);
}
