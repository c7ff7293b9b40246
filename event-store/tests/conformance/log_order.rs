//! The classic fault of event stores on PostgreSQL is that a reader sees position N+1 before N.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use database::params;
use event_store::{AppendError, Log, ReadQuery};
use faults::Mutation;
use serde_json::{Value, json};
use testkit::Backend;

use crate::fixture::{PATIENCE, event, open_log, soon};

const WRITERS: usize = 32;
const APPENDS_EACH: usize = 12;

testkit::both_databases!(
    a_tailing_reader_never_sees_a_position_before_the_one_below_it,
    two_processes_append_to_one_log_without_holes,
);

/// 32 writers. On PostgreSQL each calls the append inside a transaction that stays open for a
/// varying time before it commits, or is rolled back; on SQLite, where a transaction holds the one
/// writer anyway, they go through the log.
async fn a_tailing_reader_never_sees_a_position_before_the_one_below_it(backend: Backend) {
    let log = open_log(&backend).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(tail(log.clone(), Arc::clone(&done)));
    let writers = (0..WRITERS).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            for turn in 0..APPENDS_EACH {
                write(&log, writer, turn).await;
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    done.store(true, Ordering::Release);
    let seen = reader.await.unwrap();
    let head = log.head().await.unwrap().position;
    assert_eq!(seen, head);
    let rolled_back = if backend.name == "postgres" {
        WRITERS * APPENDS_EACH / 4
    } else {
        0
    };
    assert_eq!(head, (WRITERS * APPENDS_EACH - rolled_back) as i64);
}

/// Reads like a consumer that trusts positions: whatever is above the last one, in order.
async fn tail(log: Log, done: Arc<AtomicBool>) -> i64 {
    let mut last = 0;
    loop {
        let finished = done.load(Ordering::Acquire);
        let events = log
            .read(&ReadQuery::after(last).limit(1_000))
            .await
            .unwrap();
        for event in &events {
            assert_eq!(event.position, last + 1, "a hole below {}", event.position);
            last = event.position;
        }
        if finished && events.is_empty() {
            return last;
        }
        tokio::task::yield_now().await;
    }
}

async fn write(log: &Log, writer: usize, turn: usize) {
    let new = event(&format!("w{writer}-{turn}"), 1);
    if log.database().postgres_pool().is_none() {
        log.append(vec![new.into()]).await.unwrap();
        return;
    }
    let mut entry = serde_json::to_value(&new).unwrap();
    entry["anyVersion"] = json!(false);
    loop {
        // 32 writers share a small pool; who gets no connection in time comes again.
        let Ok(mut tx) = log.database().begin().await else {
            continue;
        };
        let sql = "SELECT log_append($1)";
        let batches = json!([[entry.clone()]]);
        let (answer,): (database::Json<Value>,) =
            tx.fetch_one(sql, params![batches]).await.unwrap();
        assert!(answer.0["batches"][0]["appended"].is_array(), "{answer:?}");
        // Slow transactions are the point of the test, not a wait for an order of things.
        tokio::time::sleep(Duration::from_millis(((writer * 7 + turn * 3) % 5) as u64)).await;
        if turn % 4 == 3 {
            tx.rollback().await.unwrap();
        } else {
            tx.commit().await.unwrap();
        }
        return;
    }
}

async fn two_processes_append_to_one_log_without_holes(backend: Backend) {
    let logs = [open_log(&backend).await, open_log(&backend).await];
    append_at_once(&logs, 0).await.unwrap();
    let events = logs[0]
        .read(&ReadQuery::after(0).limit(1_000))
        .await
        .unwrap();
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=160).collect::<Vec<_>>());
    for log in &logs {
        soon(log.appended().wait_for(|head| *head == 160))
            .await
            .unwrap();
    }
}

/// Eight writers over two logs, to streams of this round; the first error of one of them.
async fn append_at_once(logs: &[Log; 2], round: u32) -> Result<(), AppendError> {
    let writers = (0..8).map(|writer| {
        let log = logs[writer % 2].clone();
        tokio::spawn(async move {
            for version in 1..=20 {
                let stream = format!("p{round}-{writer}");
                log.append(vec![event(&stream, version).into()]).await?;
            }
            Ok(())
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap()?;
    }
    Ok(())
}

/// The bug is in the server, where the append is: two appends then read the same head.
#[tokio::test]
async fn an_append_without_the_lock_is_found() {
    let mutation = Mutation::AppendWithoutLock;
    let backend = Backend::postgres().await;
    let logs = [open_log(&backend).await, open_log(&backend).await];
    let database = logs[0].database();
    // What takes the usual group, and what decides about those that are not; slower than the first,
    // so that it is overtaken.
    for (function, pause) in [("log_append_rows", "0.002"), ("log_append", "0.02")] {
        let written = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = $1";
        let (sound,): (String,) = database
            .fetch_one(written, params![function])
            .await
            .unwrap();
        let instead = format!("; PERFORM pg_sleep({pause});");
        let mutated = sound.replacen(" FOR UPDATE;", &instead, 1);
        assert_ne!(mutated, sound, "the lock of {function} is not where it was");
        // The text is the server's own, changed by this test.
        let redefine = sqlx::raw_sql(sqlx::AssertSqlSafe(mutated));
        let pool = database.postgres_pool().unwrap();
        redefine.execute(pool).await.unwrap();
    }
    // Who overtakes whom is the scheduler's choice; on a busy machine nobody may for a while.
    let rounds = async {
        for round in 0.. {
            match append_at_once(&logs, round).await {
                Ok(()) => {}
                Err(AppendError::Unavailable(error)) => return error.to_string(),
                Err(other) => panic!("{other}"),
            }
        }
        unreachable!("rounds do not end")
    };
    let found = tokio::time::timeout(PATIENCE, rounds).await;
    let found = found.unwrap_or_else(|_| panic!("{} was not found", mutation.name()));
    assert!(found.contains("events_from_1_pk"), "{found}");
}

/// The reader above would catch the fault: here are two transactions that take positions from a
/// sequence, as a log without the lock would, and commit in the other order.
#[tokio::test]
#[should_panic(expected = "a hole below 2")]
async fn the_tailing_reader_catches_positions_from_a_sequence() {
    let backend = Backend::postgres().await;
    let log = open_log(&backend).await;
    let database = log.database();
    database
        .execute("CREATE SEQUENCE positions", params![])
        .await
        .unwrap();
    let insert = "INSERT INTO events
                      (position, id, stream, version, type, aggregate_id, schema_version, payload,
                       occurred_at, correlation_id, service_id)
                  VALUES (nextval('positions'), gen_random_uuid(), $1, 1, 't', 'a', 1, '{}',
                          now(), gen_random_uuid(), 's')";
    let mut slow = database.begin().await.unwrap();
    slow.execute(insert, params!["slow"]).await.unwrap();
    let mut quick = database.begin().await.unwrap();
    quick.execute(insert, params!["quick"]).await.unwrap();
    quick.commit().await.unwrap();
    tail(log, Arc::new(AtomicBool::new(true))).await;
}
