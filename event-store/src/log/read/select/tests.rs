use std::collections::BTreeSet;

use database::{Dialect, params};
use uuid::Uuid;

use super::*;
use crate::{Log, LogOptions};

/// On PostgreSQL three partitions for them, and three beyond.
const DIVIDE: [&str; 4] = [
    "DROP TABLE events_from_1",
    "DELETE FROM log_partitions",
    "UPDATE log_head SET partition_size = 10000",
    "SELECT log_partition_to(60000)",
];

/// 30,000 events: of each type and category some thousands, of one of each only the last.
const FILL: Sql = Sql::by_dialect(
    "WITH made AS MATERIALIZED (
         SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS correlation,
                CASE WHEN n = 30000 THEN 'rare-1' ELSE 'c' || n % 5 || '-' || n % 1000 END AS stream,
                CASE WHEN n = 30000 THEN 'rare' ELSE 't' || n % 7 END AS type
         FROM generate_series(1, 30000) AS n
     ), keyed AS (
         INSERT INTO event_keys SELECT id, n, stream, n, type, correlation FROM made)
     INSERT INTO events SELECT n, id, stream, n, type, 'a', 1, '{}', now(), correlation, NULL, NULL,
            NULL, 'test', NULL FROM made",
    "WITH RECURSIVE numbers (n) AS
         (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 30000)
     INSERT INTO events SELECT n, randomblob(16),
            CASE WHEN n = 30000 THEN 'rare-1' ELSE 'c' || n % 5 || '-' || n % 1000 END, n,
            CASE WHEN n = 30000 THEN 'rare' ELSE 't' || n % 7 END, 'a', 1, '{}', 0,
            randomblob(16), NULL, NULL, NULL, 'test', NULL, NULL
     FROM numbers",
);

/// Each way into the table, with what names its index in PostgreSQL's plan and in SQLite's.
fn asked(forward: bool) -> Vec<(ReadQuery, [&'static str; 2])> {
    let query = if forward {
        ReadQuery::after(0)
    } else {
        ReadQuery::newest()
    };
    let of = |narrow: fn(ReadQuery) -> ReadQuery| narrow(query.clone());
    let by_stream = ["event_keys_stream_version_unique", "(stream=?"];
    let by_category = ["events_from_20001_by_category", "events_by_category"];
    let by_type = ["events_from_20001_by_type", "events_by_type"];
    let by_correlation = ["event_keys_by_correlation", "events_by_correlation"];
    vec![
        (of(|q| q.id(Uuid::nil())), ["event_keys_pk", "(id=?"]),
        (of(|q| q.stream("rare-1")), by_stream),
        (of(|q| q.stream("rare-1").types(["t1", "rare"])), by_stream),
        (of(|q| q.category("rare")), by_category),
        (of(|q| q.types(["rare"])), by_type),
        (of(|q| q.types(["rare"]).category("c1")), by_type),
        (of(|q| q.types(["rare", "none"])), by_type),
        (of(|q| q.types(["rare", "none"]).category("c1")), by_type),
        (of(|q| q.correlation(Uuid::nil())), by_correlation),
        (
            of(|q| q.correlation(Uuid::nil()).category("c1")),
            by_correlation,
        ),
    ]
}

/// A value's type in PostgreSQL, and how it is written there.
fn literal(value: &Value) -> (&'static str, String) {
    let quoted = |text: &dyn std::fmt::Display| format!("'{text}'");
    match value {
        Value::Integer(Some(number)) => ("BIGINT", number.to_string()),
        Value::Text(Some(text)) => ("TEXT", quoted(text)),
        Value::Text(None) => ("TEXT", "NULL".to_owned()),
        Value::Uuid(Some(id)) => ("UUID", quoted(id)),
        Value::Texts(texts) => ("TEXT[]", format!("'{{{}}}'", texts.join(","))),
        other => panic!("{other:?} is in no query"),
    }
}

/// The plan for any values on SQLite, and on PostgreSQL, which would make one for these.
async fn plan(log: &Log, query: &ReadQuery) -> String {
    match log.dialect() {
        Dialect::Postgres => explained(log, query, "EXPLAIN").await,
        Dialect::Sqlite => {
            let (by, values) = way(query);
            let sql = format!("EXPLAIN QUERY PLAN {}", by.sqlite[query.direction as usize]);
            let rows: Vec<(i64, i64, i64, String)> =
                log.database().fetch_all(leaked(sql), values).await.unwrap();
            let lines: Vec<String> = rows.into_iter().map(|(.., line)| line).collect();
            lines.join("\n")
        }
    }
}

/// What PostgreSQL says of the plan that it makes once and for any values.
async fn explained(log: &Log, query: &ReadQuery, explain: &str) -> String {
    let (by, values) = way(query);
    let mut tx = log.database().begin().await.unwrap();
    let (types, literals): (Vec<_>, Vec<_>) = values.iter().map(literal).unzip();
    let explain = format!("{explain} EXECUTE way ({})", literals.join(", "));
    for sql in [
        "SET LOCAL plan_cache_mode = force_generic_plan".to_owned(),
        format!(
            "PREPARE way ({}) AS {}",
            types.join(", "),
            by.postgres[query.direction as usize]
        ),
    ] {
        tx.execute(leaked(sql), params![]).await.unwrap();
    }
    let rows: Vec<(String,)> = tx.fetch_all(leaked(explain), params![]).await.unwrap();
    tx.execute("DEALLOCATE way", params![]).await.unwrap();
    let lines: Vec<String> = rows.into_iter().map(|(line,)| line).collect();
    lines.join("\n")
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

async fn filled(backend: &testkit::Backend) -> Log {
    let log = Log::open(&backend.url, LogOptions::default())
        .await
        .unwrap();
    if log.dialect() == Dialect::Postgres {
        for sql in DIVIDE {
            log.database().execute(sql, params![]).await.unwrap();
        }
    }
    log.database().execute(FILL, params![]).await.unwrap();
    log.database().execute("ANALYZE", params![]).await.unwrap();
    log
}

#[tokio::test]
async fn each_way_into_a_log_that_has_grown_has_its_index_and_sorts_nothing() {
    for backend in testkit::backends().await {
        let log = filled(&backend).await;
        for forward in [true, false] {
            for (query, indexes) in asked(forward) {
                let index = indexes[usize::from(log.dialect() == Dialect::Sqlite)];
                let plan = plan(&log, &query).await;
                let shown = format!("{} {query:?}:\n{plan}", backend.name);
                assert!(plan.contains(index), "{shown}");
                let scans = [
                    "Seq Scan on event_keys",
                    "Seq Scan on events_from_1 ",
                    "Seq Scan on events_from_10001 ",
                    "Seq Scan on events_from_20001 ",
                    "SCAN events",
                ];
                assert!(!scans.iter().any(|scan| plan.contains(scan)), "{shown}");
            }
        }
    }
}

/// The partitions that a query looks into, by their first positions.
async fn touched(log: &Log, query: &ReadQuery) -> BTreeSet<i64> {
    let explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)";
    let plan = explained(log, query, explain).await;
    let scans = plan.lines().filter(|line| line.contains("(actual rows"));
    let first = |line: &str| {
        let (_, name) = line.split_once(" on events_from_")?;
        name.split(' ').next()?.parse().ok()
    };
    scans.filter_map(first).collect()
}

#[tokio::test]
async fn a_read_looks_into_the_partitions_that_can_have_what_it_asks_for() {
    let backend = testkit::Backend::postgres().await;
    let log = filled(&backend).await;
    let sql = "SELECT id, correlation_id FROM events WHERE position = 12345";
    let (id, correlation) = log.database().fetch_one(sql, params![]).await.unwrap();
    let all = |from| (from..=5).map(|number| number * 10_000 + 1);
    for (query, expected) in [
        (ReadQuery::after(15_000), BTreeSet::from([10_001])),
        (ReadQuery::after(19_950), BTreeSet::from([10_001, 20_001])),
        (ReadQuery::before(15_000), BTreeSet::from([10_001])),
        (ReadQuery::before(10_050), BTreeSet::from([1, 10_001])),
        // What lies ahead is empty.
        (ReadQuery::newest(), all(2).collect()),
        // The border itself is in both, as far as PostgreSQL knows.
        (ReadQuery::after(30_000), all(2).collect()),
        (ReadQuery::after(0).id(id), BTreeSet::from([10_001])),
        (
            ReadQuery::newest().correlation(correlation),
            BTreeSet::from([10_001]),
        ),
        (
            ReadQuery::after(0).stream("rare-1"),
            BTreeSet::from([20_001]),
        ),
        (ReadQuery::after(20_001).types(["t1"]), all(2).collect()),
        (
            ReadQuery::after(20_001).types(["t1", "t2"]),
            all(2).collect(),
        ),
        (ReadQuery::after(20_001).category("c1"), all(2).collect()),
        (
            ReadQuery::before(10_001).category("c1"),
            BTreeSet::from([1]),
        ),
    ] {
        assert_eq!(touched(&log, &query).await, expected, "{query:?}");
    }
}
