//! Reading from a time.

use database::{Timestamp, params};
use event_store::{Log, ReadQuery};
use testkit::Backend;
use uuid::Uuid;

use crate::fixture::{append_to, open_log};

testkit::both_databases!(
    a_time_stands_for_the_newest_position_that_was_taken_before_it,
    a_clock_that_went_back_costs_no_more_than_its_step,
    what_an_append_was_taken_at_is_found_again,
);

/// Puts an event at a position, taken at that second; none for one from before times were noted,
/// which then happened at it.
async fn put(log: &Log, position: i64, taken: Option<i64>, happened: i64) {
    let second = |second: i64| Timestamp::from_micros(second * 1_000_000);
    let mut tx = log.database().begin().await.unwrap();
    tx.execute(
        "INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version,
                             payload, occurred_at, correlation_id, service_id, recorded_at)
         VALUES ($1, $2, 'a', $1, 't', 'a', 1, $3, $4, $2, 'test', $5)",
        params![
            position,
            Uuid::now_v7(),
            serde_json::json!({}),
            second(happened),
            taken.map(second)
        ],
    )
    .await
    .unwrap();
    let sql = "UPDATE log_head SET head = $1, keys_to = $1";
    tx.execute(sql, params![position]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn before(log: &Log, second: i64) -> i64 {
    let time = Timestamp::from_micros(second * 1_000_000);
    log.position_before(time).await.unwrap()
}

async fn a_time_stands_for_the_newest_position_that_was_taken_before_it(backend: Backend) {
    let log = open_log(&backend).await;
    assert_eq!(before(&log, 1_000).await, 0, "an empty log");
    // Two from before times were noted, two at once, and some that were archived.
    put(&log, 1, None, 10).await;
    put(&log, 2, None, 20).await;
    put(&log, 3, Some(30), 5).await;
    put(&log, 4, Some(30), 6).await;
    for position in 5..=7 {
        put(&log, position, Some(40), 1).await;
    }
    for position in 20..=100 {
        put(&log, position, Some(30 + position), 1).await;
    }
    for (second, position) in [
        (0, 0),
        (10, 0),
        (11, 1),
        (20, 1),
        (25, 2),
        (30, 2),
        (31, 4),
        (40, 4),
        (41, 7),
        (50, 7),
        (51, 20),
        (100, 69),
        (130, 99),
        (131, 100),
        (1_000, 100),
    ] {
        assert_eq!(before(&log, second).await, position, "{second}");
    }
}

async fn a_clock_that_went_back_costs_no_more_than_its_step(backend: Backend) {
    let log = open_log(&backend).await;
    let taken = |position: i64| {
        if position < 20 {
            position
        } else {
            position - 5
        }
    };
    for position in 1..=40 {
        put(&log, position, Some(taken(position)), 1).await;
    }
    for second in 0..=40 {
        let found = before(&log, second).await;
        for position in 1..=40 {
            let right = (position <= found) == (taken(position) < second);
            let within_the_step = (15..20).contains(&taken(position));
            assert!(right || within_the_step, "{position} for {second}");
        }
    }
}

async fn what_an_append_was_taken_at_is_found_again(backend: Backend) {
    let log = open_log(&backend).await;
    for _ in 0..5 {
        append_to(&log, &["a", "b"]).await;
    }
    for event in log.read(&ReadQuery::after(0)).await.unwrap() {
        let taken: Timestamp = event.recorded_at.unwrap().into();
        let found = log.position_before(taken).await.unwrap();
        let next = log.read(&ReadQuery::after(found).limit(1)).await.unwrap();
        assert_eq!(next[0].recorded_at, event.recorded_at);
        assert!(found < event.position);
    }
}
