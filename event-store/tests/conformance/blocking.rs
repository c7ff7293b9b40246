//! Whoever keeps the others from the log is found.

use event_store::blocking::Blocking;
use prometheus_client::{encoding::text::encode, registry::Registry};
use testkit::{Backend, eventually};

use crate::fixture::{PATIENCE, event, open_log, soon};

fn shown(blocking: &Blocking) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(blocking.clone()));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

fn value(blocking: &Blocking, name: &str) -> f64 {
    let text = shown(blocking);
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_transaction_that_holds_the_head_of_postgresql_is_named_with_its_age() {
    let backend = Backend::postgres().await;
    let log = open_log(&backend).await;
    let blocking = Blocking::default();
    assert_eq!(blocking.look(&log).await.unwrap(), None);
    assert_eq!(value(&blocking, "log_last_block_timestamp_seconds"), 0.0);

    let mut holder = log.database().begin().await.unwrap();
    let sql = "SELECT CAST(pg_backend_pid() AS BIGINT) FROM log_head FOR UPDATE";
    let (pid,): (i64,) = holder.fetch_one(sql, vec![]).await.unwrap();
    let append = tokio::spawn({
        let log = log.clone();
        async move { log.append(vec![event("a", 1).into()]).await }
    });
    let found = eventually(PATIENCE, || async { blocking.look(&log).await.unwrap() }).await;
    assert_eq!((found.pid, found.waiting), (Some(pid), 1));
    assert_eq!(found.state.as_deref(), Some("idle in transaction"));
    assert!(found.query.unwrap().contains("FOR UPDATE"));
    assert!(value(&blocking, "log_blocked_seconds") >= 0.5);
    assert!(blocking.last().unwrap().blocks);

    holder.rollback().await.unwrap();
    soon(append).await.unwrap().unwrap();
    assert_eq!(blocking.look(&log).await.unwrap(), None);
    assert_eq!(value(&blocking, "log_blocked_seconds"), 0.0);
    assert!(value(&blocking, "log_last_block_seconds") >= 0.5);
    assert!(value(&blocking, "log_last_block_timestamp_seconds") > 1e9);
    let last = blocking.last().unwrap();
    assert_eq!((last.blocker.pid, last.blocks), (Some(pid), false));
}

#[tokio::test]
async fn a_wait_for_sqlites_one_writer_is_measured_while_it_lasts() {
    let backend = Backend::sqlite();
    let log = open_log(&backend).await;
    let blocking = Blocking::default();
    assert_eq!(blocking.look(&log).await.unwrap(), None);
    let mut holder = log.database().begin().await.unwrap();
    let sql = "UPDATE log_head SET head = head";
    holder.execute(sql, vec![]).await.unwrap();
    let looking = tokio::spawn({
        let (blocking, log) = (blocking.clone(), log.clone());
        async move { blocking.look(&log).await }
    });
    eventually(PATIENCE, || async {
        value(&blocking, "log_blocked_seconds") >= 0.5
    })
    .await;
    holder.rollback().await.unwrap();
    let found = soon(looking).await.unwrap().unwrap().unwrap();
    assert!(found.millis >= 500, "{found:?}");
    assert_eq!(value(&blocking, "log_blocked_seconds"), 0.0);
    assert!(value(&blocking, "log_last_block_seconds") >= 0.5);
}
