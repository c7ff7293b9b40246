//! A log from before becomes one of partitions where it lies, while others append.

use std::{borrow::Cow, collections::HashMap};

use contracts::{Event, Recorded};
use database::{Database, Json, Migrations, Options, params};
use event_store::{Append, AppendError, Log, ReadQuery};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use testkit::{Backend, eventually};

use super::{check_keys, partitions};
use crate::{
    archiving::{Kept, alike::hold_at},
    fixture::{PATIENCE, append_to, event, open_log, run_of, soon},
};

/// The newest migration of a log that has one table.
const BEFORE: i64 = 9;

/// The log's migrations up to a version, as a program of then has them.
fn up_to(version: i64) -> Migrations {
    let until = |mut all: Migrator| {
        let kept = all.migrations.iter().filter(|one| one.version <= version);
        all.migrations = Cow::Owned(kept.cloned().collect());
        all
    };
    Migrations::new(
        "log",
        until(sqlx::migrate!("../migrations/log/postgres")),
        until(sqlx::migrate!("../migrations/log/sqlite")),
    )
}

/// A log of one table.
async fn former(backend: &Backend) -> Database {
    let database = backend.open(Options::default()).await;
    database.migrate(up_to(BEFORE)).await.unwrap();
    database
}

/// Appends as a service does that knows nothing of this program's version; its answer.
async fn append(database: &Database, events: &[Event]) -> Result<Value, database::Error> {
    let entries = events.iter().map(|event| {
        let mut entry = serde_json::to_value(event).unwrap();
        entry["anyVersion"] = json!(false);
        entry
    });
    let batches = json!([entries.collect::<Vec<_>>()]);
    let (Json(answer),): (Json<Value>,) = database
        .fetch_one("SELECT log_append($1)", params![batches])
        .await?;
    Ok(answer)
}

fn events_of(stream: &str, versions: std::ops::RangeInclusive<i64>) -> Vec<Event> {
    versions.map(|version| event(stream, version)).collect()
}

async fn read(log: &Log) -> Vec<Event> {
    let query = ReadQuery::after(0).limit(1_000);
    let all = log.read(&query).await.unwrap();
    for (recorded, position) in all.iter().zip(1..) {
        assert_eq!(recorded.position, position);
    }
    all.into_iter().map(|recorded| recorded.event).collect()
}

/// All that is asked of events by name has the answers that the whole log has.
async fn check_answers(log: &Log) {
    let all = log.read(&ReadQuery::after(0).limit(1_000)).await.unwrap();
    let mut streams: HashMap<&str, Vec<&Recorded>> = HashMap::new();
    for recorded in &all {
        let id = recorded.event.id;
        for query in [
            ReadQuery::after(0).id(id),
            ReadQuery::newest().correlation(recorded.event.correlation_id),
        ] {
            let found = log.read(&query).await.unwrap();
            assert_eq!(found, std::slice::from_ref(recorded));
        }
        streams
            .entry(&recorded.event.stream)
            .or_default()
            .push(recorded);
        let again = log.append(vec![recorded.event.clone().into()]).await;
        let again = again.unwrap()[0];
        assert_eq!((again.position, again.duplicate), (recorded.position, true));
        let mut other = recorded.event.clone();
        other.event_type = "user.created".to_owned();
        let refused = log.append(vec![Append::exact(other)]).await;
        assert!(matches!(refused, Err(AppendError::IdReused { .. })));
    }
    for (stream, expected) in &streams {
        let query = ReadQuery::after(0).stream(*stream).limit(1_000);
        let found = log.read(&query).await.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), *expected);
        let versions: Vec<_> = found.iter().map(|r| r.event.version).collect();
        let newest = i64::try_from(versions.len()).unwrap();
        assert_eq!(versions, (1..=newest).collect::<Vec<_>>());
        let next = log.append(vec![event(stream, newest + 1).into()]).await;
        assert!(!next.unwrap()[0].duplicate);
    }
    check_keys(log).await;
}

#[tokio::test]
async fn a_log_with_events_is_divided_and_has_them_all_and_who_could_read_can() {
    let backend = Backend::postgres().await;
    let before = former(&backend).await;
    let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
    let run = async |database: &Database, sql: String| {
        let pool = database.postgres_pool().unwrap();
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await;
        done.unwrap();
    };
    run(&before, format!("CREATE ROLE {role} LOGIN")).await;
    let grant = format!("GRANT SELECT ON events, archived_keys, log_head TO {role}");
    run(&before, grant).await;
    let mut events = events_of("a", 1..=5);
    events.extend(events_of("b", 1..=3));
    append(&before, &events).await.unwrap();

    let log = open_log(&backend).await;
    assert_eq!(read(&log).await, events);
    // Events came to the log, so the first border is far enough for what comes while it is divided.
    assert_eq!(partitions(&log).await, [(1, 2_000_000)]);
    check_answers(&log).await;
    let unsound = "SELECT count(*) FROM pg_constraint WHERE NOT convalidated";
    let (unsound,): (i64,) = log.database().fetch_one(unsound, params![]).await.unwrap();
    assert_eq!(unsound, 0);
    let url = backend.url.replace("//postgres@", &format!("//{role}@"));
    let reader = Database::connect(&url, Options::default()).await.unwrap();
    for sql in [
        "SELECT count(*) FROM events",
        "SELECT count(*) FROM archived_keys",
    ] {
        let (count,): (i64,) = reader.fetch_one(sql, params![]).await.unwrap();
        assert_eq!(count, 10);
    }
    let delete = "DELETE FROM events";
    let refused = reader.execute(delete, params![]).await.unwrap_err();
    assert!(refused.to_string().contains("denied"), "{refused}");
    reader.close().await;
    run(log.database(), format!("DROP OWNED BY {role}")).await;
    run(log.database(), format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn what_is_appended_between_two_steps_has_its_keys() {
    let backend = Backend::postgres().await;
    let before = former(&backend).await;
    let mut all = events_of("a", 1..=4);
    append(&before, &all).await.unwrap();
    for step in BEFORE + 1..=BEFORE + 3 {
        before.migrate(up_to(step)).await.unwrap();
        let from = i64::try_from(all.len()).unwrap() + 1;
        let more = events_of("a", from..=from + 2);
        append(&before, &more).await.unwrap();
        all.extend(more);
    }
    let log = open_log(&backend).await;
    assert_eq!(read(&log).await, all);
    check_answers(&log).await;
}

#[tokio::test]
async fn who_appends_all_the_while_loses_nothing() {
    let backend = Backend::postgres().await;
    let before = former(&backend).await;
    let (divided, is_divided) = tokio::sync::watch::channel(false);
    let writers = [0, 1, 2].map(|writer| {
        let (before, is_divided) = (before.clone(), is_divided.clone());
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            while !*is_divided.borrow() || acknowledged.len() < 20 {
                let version = i64::try_from(acknowledged.len()).unwrap() + 1;
                let next = event(&format!("w-{writer}"), version);
                // One that waits while the functions change fails, and is repeated.
                eventually(PATIENCE, || async {
                    append(&before, std::slice::from_ref(&next)).await.is_ok()
                })
                .await;
                acknowledged.push(next);
            }
            acknowledged
        })
    });
    let log = open_log(&backend).await;
    divided.send_replace(true);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(soon(writer).await.unwrap());
    }
    let mut all = read(&log).await;
    all.sort_by_key(|event| (event.stream.clone(), event.version));
    assert_eq!(all, acknowledged);
    check_keys(&log).await;
}

/// It has read its function before, and goes on with it afterwards.
#[tokio::test]
async fn an_append_that_waits_while_the_functions_change_fails_and_is_repeated() {
    let backend = Backend::postgres().await;
    let before = former(&backend).await;
    append(&before, &events_of("a", 1..=2)).await.unwrap();
    before.migrate(up_to(BEFORE + 2)).await.unwrap();
    let waiting = async |count: i64| {
        let sql = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                   WHERE NOT l.granted AND a.datname = current_database()";
        eventually(PATIENCE, || async {
            let (waiting,): (i64,) = before.fetch_one(sql, params![]).await.unwrap();
            waiting == count
        })
        .await;
    };
    let mut holder = before.begin().await.unwrap();
    let head = "SELECT head FROM log_head FOR UPDATE";
    let (_,): (i64,) = holder.fetch_one(head, params![]).await.unwrap();
    // First in line for the head is the migration, then comes the append.
    let dividing = tokio::spawn({
        let other = backend.open(Options::default()).await;
        async move { other.migrate(up_to(BEFORE + 3)).await }
    });
    waiting(1).await;
    let next = events_of("a", 3..=3);
    let appending = tokio::spawn({
        let (before, next) = (before.clone(), next.clone());
        async move { append(&before, &next).await }
    });
    waiting(2).await;
    holder.rollback().await.unwrap();
    soon(dividing).await.unwrap().unwrap();
    let failed = soon(appending).await.unwrap().unwrap_err();
    assert!(failed.violates("log_head_keys_are_kept"), "{failed}");
    append(&before, &next).await.unwrap();
    let log = open_log(&backend).await;
    assert_eq!(read(&log).await.len(), 3);
    check_answers(&log).await;
}

#[tokio::test]
async fn a_log_whose_beginning_lies_in_files_is_divided_and_reads_them() {
    // Files of a log with the same events and identity, and its notes of them.
    let kept = Kept::with(Backend::postgres().await).await;
    let mut batch = run_of("a", 6);
    batch.extend(run_of("b", 8));
    kept.log.append(batch.clone()).await.unwrap();
    kept.archive().await;
    hold_at(&kept.log, 8).await;
    kept.remove_to(8).await;
    let notes = "SELECT jsonb_agg(to_jsonb(r)) FROM archived_ranges r";
    let (Json(notes),): (Json<Value>,) = kept
        .log
        .database()
        .fetch_one(notes, params![])
        .await
        .unwrap();

    let backend = Backend::postgres().await;
    let before = former(&backend).await;
    let epoch = "UPDATE log_head SET epoch = $1";
    before
        .execute(epoch, params![kept.log.epoch()])
        .await
        .unwrap();
    let events: Vec<Event> = batch.into_iter().map(|append| append.event).collect();
    append(&before, &events).await.unwrap();
    for (sql, values) in [
        (
            "INSERT INTO archived_ranges
             SELECT (jsonb_populate_record(NULL::archived_ranges, note)).*
             FROM jsonb_array_elements($1) AS note",
            params![notes],
        ),
        // The next file's keys are kept, its rows are still there.
        (
            "INSERT INTO archived_keys
             SELECT id, position, stream, version, type, correlation_id FROM events
             WHERE position <= 12",
            params![],
        ),
        ("DELETE FROM events WHERE position <= 8", params![]),
        (
            "UPDATE log_head SET archived_to = 8, keys_to = 12",
            params![],
        ),
    ] {
        before.execute(sql, values).await.unwrap();
    }

    let log = open_log(&backend).await;
    assert_eq!(read(&log).await, events);
    check_answers(&log).await;
    assert_eq!(log.archived_to().await.unwrap(), 8);
    append_to(&log, &["a", "b", "c"]).await;
    let twin = Kept {
        log,
        folder: kept.folder,
        backend,
    };
    // What a program of before writes while both versions run.
    for sql in [
        "INSERT INTO archived_keys (id, position, stream, version, type, correlation_id)
         SELECT id, position, stream, version, type, correlation_id FROM events
         WHERE position >= 9 AND position <= 12 ON CONFLICT (id) DO NOTHING",
        "UPDATE log_head SET keys_to = 12 WHERE keys_to < 12",
    ] {
        twin.log.database().execute(sql, params![]).await.unwrap();
    }
    check_keys(&twin.log).await;
    assert_eq!(twin.rows().await, (9..=19).collect::<Vec<_>>());
}
