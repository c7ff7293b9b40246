//! What lies in files alone gives its room back, and stays known.

use std::time::Duration;

use database::params;
use event_store::{
    AppendError, ReadQuery,
    partitions::{AHEAD, Looked, Partitions},
};
use testkit::Backend;

use super::{check_keys, divide, first, partitions};
use crate::{
    archiving::{Kept, alike::hold_at, alike::release, retention},
    fixture::{append_to, event, run_of, soon},
};

/// 14 events of three streams in four partitions, of which the first eight lie in files alone.
async fn archived() -> (Kept, Vec<contracts::Recorded>) {
    let kept = Kept::with(Backend::postgres().await).await;
    divide(&kept.log).await;
    let mut batch = run_of("a", 6);
    batch.extend(run_of("b", 5));
    batch.extend(run_of("c", 3));
    kept.log.append(batch).await.unwrap();
    let all = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    kept.archive().await;
    hold_at(&kept.log, 8).await;
    kept.remove_to(8).await;
    (kept, all)
}

async fn look(kept: &Kept) -> Looked {
    Partitions::default().look(&kept.log).await.unwrap()
}

#[tokio::test]
async fn a_partition_goes_when_all_of_it_lies_in_files_and_everybody_reads_on() {
    let (kept, all) = archived().await;
    // Whoever looks makes three ahead, of another size.
    let sql = "UPDATE log_head SET partition_size = 7";
    kept.log.database().execute(sql, params![]).await.unwrap();
    assert_eq!(look(&kept).await.dropped, 2);
    assert_eq!(partitions(&kept.log).await[0], (9, 12));
    hold_at(&kept.log, 12).await;
    kept.remove_to(12).await;
    append_to(&kept.log, &["c"; 8]).await;
    kept.archive().await;
    release(&kept.log).await;
    kept.remove_to(22).await;
    assert_eq!(look(&kept).await.dropped, 2);
    assert_eq!(kept.rows().await, [] as [i64; 0]);
    // One place in it is not taken yet.
    assert_eq!(partitions(&kept.log).await[0], (17, 23));

    let read = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    assert_eq!((&read[..14], read.len()), (&all[..], 22));
    let newest = kept.log.read(&ReadQuery::newest().stream("c")).await;
    let versions: Vec<_> = newest.unwrap().iter().map(|e| e.event.version).collect();
    assert_eq!(versions, (1..=11).rev().collect::<Vec<_>>());
    for old in &all {
        let found = kept.log.read(&ReadQuery::after(0).id(old.event.id)).await;
        assert_eq!(found.unwrap(), std::slice::from_ref(old));
        let again = kept.log.append(vec![old.event.clone().into()]).await;
        let again = again.unwrap()[0];
        assert_eq!((again.position, again.duplicate), (old.position, true));
    }
    let taken = kept.log.append(vec![event("a", 6).into()]).await;
    assert!(matches!(
        taken,
        Err(AppendError::Conflict { actual: 6, .. })
    ));
    let next = kept.log.append(vec![event("a", 7).into()]).await.unwrap();
    assert_eq!(next[0].position, 23);
    check_keys(&kept.log).await;
}

#[tokio::test]
async fn a_log_whose_partitions_have_all_gone_goes_on_after_them() {
    let (kept, _) = archived().await;
    append_to(&kept.log, &["a"; 2]).await;
    kept.archive().await;
    release(&kept.log).await;
    kept.remove_to(16).await;
    // The three ahead are gone, too, as if nobody had ever made them.
    assert_eq!(look(&kept).await.dropped, 4);
    for first in [17, 21, 25] {
        let sql = format!("DROP TABLE events_from_{first}");
        let pool = kept.log.database().postgres_pool().unwrap();
        let dropped = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await;
        dropped.unwrap();
    }
    let sql = "DELETE FROM log_partitions WHERE dropped_at IS NULL";
    kept.log.database().execute(sql, params![]).await.unwrap();
    let sql = "UPDATE log_head SET room_to = 16";
    kept.log.database().execute(sql, params![]).await.unwrap();
    assert_eq!(partitions(&kept.log).await, []);
    assert_eq!(append_to(&kept.log, &["a"; 1]).await, 17);
    assert_eq!(partitions(&kept.log).await, [(17, 20)]);
    let all = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    let positions: Vec<_> = all.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=17).collect::<Vec<_>>());
    check_keys(&kept.log).await;
}

#[tokio::test]
async fn who_reads_is_not_held_up_by_a_drop_and_the_next_look_drops() {
    let (kept, all) = archived().await;
    let mut reader = kept.log.database().begin().await.unwrap();
    let sql = "SELECT count(*) FROM events";
    let (count,): (i64,) = reader.fetch_one(sql, params![]).await.unwrap();
    assert_eq!(count, 6);
    let looked = look(&kept).await;
    assert_eq!((looked.dropped, looked.is_one_left), (0, true));
    assert_eq!(partitions(&kept.log).await[..4], first(4));
    let read = soon(kept.log.read(&ReadQuery::after(0))).await.unwrap();
    assert_eq!(read, all);
    assert_eq!(soon(append_to(&kept.log, &["a"])).await, 15);
    reader.commit().await.unwrap();
    let looked = look(&kept).await;
    assert_eq!((looked.dropped, looked.is_one_left), (2, false));
    assert_eq!(
        kept.log.read(&ReadQuery::after(0)).await.unwrap()[..14],
        all
    );
}

#[tokio::test]
async fn a_partition_with_an_event_in_it_is_never_dropped() {
    let (kept, all) = archived().await;
    let sql = "UPDATE log_head SET archived_to = 12";
    kept.log.database().execute(sql, params![]).await.unwrap();
    let refused = Partitions::default().look(&kept.log).await.unwrap_err();
    assert!(refused.to_string().contains("never changed"), "{refused}");
    let sql = "UPDATE log_head SET archived_to = 8";
    kept.log.database().execute(sql, params![]).await.unwrap();
    assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap(), all);
    assert_eq!(partitions(&kept.log).await[0], (9, 12));
}

#[tokio::test]
async fn a_death_at_any_commit_of_the_drop_loses_nothing() {
    let (kept, all) = archived().await;
    release(&kept.log).await;
    let (fragile, faults) = kept.fragile().await;
    hold_at(&kept.log, 12).await;
    let retention = retention(&kept.log, kept.folder.path(), Duration::ZERO);
    retention.pass().await.unwrap();
    let make = "SELECT log_make_partitions($1)";
    let made = kept.log.database().execute(make, params![AHEAD]).await;
    made.unwrap();
    // Three can be dropped, each by a commit of its own.
    for (n, after, oldest) in [(1, false, 1), (2, false, 5), (2, true, 13)] {
        if after {
            faults.die_after(n);
        } else {
            faults.die_before(n);
        }
        let died = Partitions::default().look(&fragile).await;
        died.unwrap_err();
        assert!(faults.is_dead());
        faults.revive();
        assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap(), all);
        assert_eq!(partitions(&kept.log).await[0].0, oldest);
    }
    hold_at(&kept.log, 14).await;
    kept.remove_to(14).await;
    Partitions::default().look(&fragile).await.unwrap();
    assert_eq!(partitions(&kept.log).await[0], (13, 16));
    assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap(), all);
    check_keys(&kept.log).await;
}

#[tokio::test]
async fn readers_miss_nothing_while_rows_and_partitions_go() {
    let kept = Kept::with(Backend::postgres().await).await;
    divide(&kept.log).await;
    append_to(&kept.log, &["a"; 60]).await;
    kept.archive().await;
    let (gone, is_gone) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = (0..3)
        .map(|reader| {
            let (log, is_gone) = (kept.log.clone(), is_gone.clone());
            tokio::spawn(async move {
                loop {
                    let was_gone = *is_gone.borrow();
                    let mut at = 0;
                    while at < 60 {
                        let query = ReadQuery::after(at).limit(3 + reader);
                        let page = log.read(&query).await.unwrap();
                        for event in page {
                            assert_eq!(event.position, at + 1);
                            at = event.position;
                        }
                    }
                    if was_gone {
                        return;
                    }
                }
            })
        })
        .collect();
    kept.remove_to(60).await;
    testkit::eventually(crate::fixture::PATIENCE, || async {
        look(&kept).await;
        let there = partitions(&kept.log).await;
        there.first().is_some_and(|(first, _)| *first > 60)
    })
    .await;
    gone.send_replace(true);
    for reader in readers {
        soon(reader).await.unwrap();
    }
}
