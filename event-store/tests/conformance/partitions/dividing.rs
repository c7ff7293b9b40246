//! What is true of one table is true of many.

use database::params;
use event_store::{Append, AppendError, Log, LogOptions, ReadQuery};
use testkit::Backend;

use super::{check_keys, divided, first, partitions};
use crate::fixture::{append_to, event, run_of};

async fn positions(log: &Log, query: ReadQuery) -> Vec<i64> {
    let mut query = query.limit(3);
    let is_backward = query == query.clone().backward();
    let mut all = Vec::new();
    loop {
        let page = log.read(&query).await.unwrap();
        all.extend(page.iter().map(|event| event.position));
        let Some(last) = page.last().map(|event| event.position) else {
            return all;
        };
        query = if is_backward {
            ReadQuery::before(last)
        } else {
            ReadQuery::after(last)
        }
        .limit(3);
    }
}

#[tokio::test]
async fn events_go_over_borders_and_are_read_over_them_both_ways() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    for batch in [3, 1, 1, 2, 11, 4] {
        append_to(&log, &vec!["a"; batch]).await;
    }
    assert_eq!(partitions(&log).await, first(6));
    check_keys(&log).await;
    let forward = positions(&log, ReadQuery::after(0)).await;
    assert_eq!(forward, (1..=22).collect::<Vec<_>>());
    let backward = positions(&log, ReadQuery::newest()).await;
    assert_eq!(backward, (1..=22).rev().collect::<Vec<_>>());
    for from in 0..=22 {
        let after = ReadQuery::after(from).limit(2);
        let page = log.read(&after).await.unwrap();
        let found: Vec<_> = page.iter().map(|event| event.position).collect();
        assert_eq!(found, (from + 1..=22).take(2).collect::<Vec<_>>());
        let page = log.read(&after.stream("a").backward()).await.unwrap();
        let below = if from == 0 { i64::MAX } else { from };
        let found: Vec<_> = page.iter().map(|event| event.position).collect();
        let expected = (1..=22).rev().filter(|position| *position < below);
        assert_eq!(found, expected.take(2).collect::<Vec<_>>());
    }
    // Each event lies in the partition of its position.
    let sql = "SELECT count(*) FROM events
               WHERE tableoid::REGCLASS::TEXT
                  <> 'events_from_' || (position - 1) / 4 * 4 + 1";
    let (elsewhere,): (i64,) = log.database().fetch_one(sql, params![]).await.unwrap();
    assert_eq!(elsewhere, 0);
}

#[tokio::test]
async fn an_id_and_a_streams_version_are_unique_over_all_partitions() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    let batch = run_of("a", 10);
    log.append(batch.clone()).await.unwrap();
    log.append(run_of("b", 3)).await.unwrap();
    let again = log.append(batch.clone()).await.unwrap();
    let places: Vec<_> = again.iter().map(|a| (a.position, a.duplicate)).collect();
    assert_eq!(places, (1..=10).map(|at| (at, true)).collect::<Vec<_>>());
    // Another event with the id of one in the first partition, and of one in the last.
    for (old, position) in [(&batch[0].event, 1), (&batch[9].event, 10)] {
        for change in [
            |event: &mut contracts::Event| event.stream = "c".to_owned(),
            |event: &mut contracts::Event| event.payload = serde_json::json!({ "other": 1 }),
            |event: &mut contracts::Event| event.event_type = "user.created".to_owned(),
        ] {
            let mut other = old.clone();
            change(&mut other);
            let refused = log.append(vec![Append::exact(other)]).await;
            let reused = matches!(&refused, Err(AppendError::IdReused { id, position: at })
                if *id == old.id && *at == position);
            assert!(reused, "{refused:?}");
        }
    }
    for (version, actual) in [(1, 10), (10, 10)] {
        let taken = log.append(vec![event("a", version).into()]).await;
        let conflicts = matches!(&taken, Err(AppendError::Conflict { actual: at, .. })
            if *at == actual);
        assert!(conflicts, "{taken:?}");
    }
    let ahead = log.append(vec![event("a", 12).into()]).await;
    assert!(matches!(ahead, Err(AppendError::Ahead { actual: 10, .. })));
    // Old ones and new ones in one batch, over a border.
    let mut mixed = batch[8..].to_vec();
    mixed.extend((11..=16).map(|version| Append::exact(event("a", version))));
    let appended = log.append(mixed).await.unwrap();
    let places: Vec<_> = appended.iter().map(|a| (a.position, a.version)).collect();
    let expected = [9, 10, 14, 15, 16, 17, 18, 19].into_iter().zip(9..);
    assert_eq!(places, expected.collect::<Vec<_>>());
    check_keys(&log).await;
}

#[tokio::test]
async fn a_refused_batch_at_a_border_leaves_nothing_behind() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    log.append(run_of("a", 3)).await.unwrap();
    let results = log
        .append_each(vec![
            run_of("b", 2),
            vec![event("b", 3).into(), event("a", 3).into()],
            run_of("c", 6),
        ])
        .await;
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert!(matches!(results[1], Err(AppendError::Conflict { .. })));
    assert_eq!(
        positions(&log, ReadQuery::after(0)).await,
        (1..=11).collect::<Vec<_>>()
    );
    check_keys(&log).await;
}

#[tokio::test]
async fn no_event_of_a_partition_can_be_changed_or_deleted_by_the_partitions_name() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    append_to(&log, &["a"; 7]).await;
    for sql in [
        "UPDATE events_from_1 SET stream = 'x'",
        "UPDATE events_from_5 SET stream = 'x'",
        "DELETE FROM events_from_5",
        "TRUNCATE events_from_5",
        "TRUNCATE events",
        "DELETE FROM events WHERE position = 6",
    ] {
        let error = log.database().execute(sql, params![]).await.unwrap_err();
        assert!(
            error.to_string().contains("never changed"),
            "{sql}: {error}"
        );
    }
    assert_eq!(positions(&log, ReadQuery::after(0)).await.len(), 7);
}

/// Runs SQL that no parameter can be part of.
async fn run(log: &Log, sql: String) {
    let pool = log.database().postgres_pool().unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_service_without_rights_on_the_tables_appends_over_borders_and_reads() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    append_to(&log, &["a"; 2]).await;
    // Roles belong to the whole server, which other tests use, too.
    let role = format!("service_{}", uuid::Uuid::new_v4().simple());
    run(&log, format!("CREATE ROLE {role} LOGIN")).await;
    run(
        &log,
        format!("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}"),
    )
    .await;
    run(
        &log,
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"),
    )
    .await;
    let url = backend.url.replace("//postgres@", &format!("//{role}@"));
    let service = Log::open(&url, LogOptions::default()).await.unwrap();
    append_to(&service, &["a"; 9]).await;
    // Not the usual group: an event comes twice.
    let twice = Append::exact(event("b", 1));
    let batches = vec![vec![twice.clone()], vec![twice], run_of("c", 3)];
    for answer in service.append_each(batches).await {
        answer.unwrap();
    }
    assert_eq!(
        positions(&service, ReadQuery::after(0)).await,
        (1..=15).collect::<Vec<_>>()
    );
    assert_eq!(partitions(&log).await, first(4));
    let looked = event_store::partitions::Partitions::default();
    assert_eq!(looked.look(&service).await.unwrap().made, 3);
    let own = "SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
               WHERE c.relname LIKE 'events_from_%' AND r.rolname = current_user";
    let (own,): (i64,) = service.database().fetch_one(own, params![]).await.unwrap();
    assert_eq!(own, 0, "they belong to the log's owner");
    let sql = "INSERT INTO events_from_13 SELECT * FROM events_from_13";
    let refused = service.database().execute(sql, params![]).await;
    assert!(refused.unwrap_err().to_string().contains("denied"));
    service.database().close().await;
    run(&log, format!("DROP OWNED BY {role}")).await;
    run(&log, format!("DROP ROLE {role}")).await;
}
