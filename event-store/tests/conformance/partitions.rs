//! PostgreSQL's table of events is divided by positions, and nobody notices. SQLite keeps one table.

mod dividing;
mod dropping;
mod making;
mod migrating;

use database::params;
use event_store::Log;
use testkit::Backend;

use crate::fixture::open_log;

/// Positions of a partition.
const SIZE: i64 = 4;

/// An empty log whose partitions are small, and of which there is none.
async fn divided(backend: &Backend) -> Log {
    let log = open_log(backend).await;
    divide(&log).await;
    log
}

async fn divide(log: &Log) {
    for sql in [
        "DROP TABLE events_from_1",
        "DELETE FROM log_partitions",
        "UPDATE log_head SET partition_size = 4, room_to = 0",
    ] {
        log.database().execute(sql, params![]).await.unwrap();
    }
}

/// First and last position of each partition that is there, as the log's book says; each is held against
/// the tables.
async fn partitions(log: &Log) -> Vec<(i64, i64)> {
    let sql = "SELECT first_position, last_position FROM log_partitions
               WHERE dropped_at IS NULL ORDER BY first_position";
    let noted: Vec<(i64, i64)> = log.database().fetch_all(sql, params![]).await.unwrap();
    let sql = "SELECT c.relname::TEXT, pg_get_expr(c.relpartbound, c.oid)
               FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'events'::REGCLASS";
    let mut there: Vec<(String, String)> = log.database().fetch_all(sql, params![]).await.unwrap();
    let mut expected: Vec<(String, String)> = noted
        .iter()
        .map(|(first, last)| {
            let bound = format!("FOR VALUES FROM ('{first}') TO ('{}')", last + 1);
            (format!("events_from_{first}"), bound)
        })
        .collect();
    there.sort_unstable();
    expected.sort_unstable();
    assert_eq!(there, expected);
    noted
}

/// The first `count` partitions of [`SIZE`].
fn first(count: i64) -> Vec<(i64, i64)> {
    (0..count)
        .map(|number| (number * SIZE + 1, (number + 1) * SIZE))
        .collect()
}

/// Every event has its key, and none is there of another.
async fn check_keys(log: &Log) {
    let sql = "SELECT count(*) FROM events e FULL JOIN event_keys k
                   ON (k.id, k.position, k.stream, k.version, k.type, k.correlation_id)
                    = (e.id, e.position, e.stream, e.version, e.type, e.correlation_id)
               WHERE k.id IS NULL
                  OR e.id IS NULL AND k.position > (SELECT archived_to FROM log_head)";
    let (wrong,): (i64,) = log.database().fetch_one(sql, params![]).await.unwrap();
    assert_eq!(wrong, 0);
    let sql = "SELECT count(*), max(position) FROM event_keys";
    let (count, newest): (i64, Option<i64>) =
        log.database().fetch_one(sql, params![]).await.unwrap();
    let head = log.head().await.unwrap().position;
    assert_eq!((count, newest.unwrap_or(0)), (head, head));
}
