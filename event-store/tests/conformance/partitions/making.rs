//! Partitions are made ahead, by whoever comes first, and each once.

use database::params;
use event_store::{
    LogOptions, ReadQuery,
    partitions::{AHEAD, Looked, Partitions},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use testkit::{Backend, CommitFaults};

use super::{check_keys, divide, divided, first, partitions};
use crate::fixture::{append_to, open_log, soon};

#[tokio::test]
async fn three_empty_ones_lie_beyond_the_head_and_their_number_is_shown() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    let kept = Partitions::default();
    let mut registry = Registry::default();
    kept.register(&log, &mut registry);
    let shown = || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("log_partitions_ahead "));
        line.unwrap().rsplit_once(' ').unwrap().1.to_owned()
    };
    let made = |made| Looked {
        made,
        ..Looked::default()
    };
    assert_eq!(kept.look(&log).await.unwrap(), made(AHEAD));
    assert_eq!(kept.look(&log).await.unwrap(), made(0));
    assert_eq!((partitions(&log).await, shown().as_str()), (first(3), "3"));
    append_to(&log, &["a"; 4]).await;
    assert_eq!(kept.look(&log).await.unwrap(), made(1), "the first is full");
    append_to(&log, &["a"; 6]).await;
    assert_eq!(kept.look(&log).await.unwrap(), made(2));
    assert_eq!(partitions(&log).await, first(6));
    // Whoever is away longer than they last is missed by nobody.
    append_to(&log, &["a"; 40]).await;
    assert_eq!(partitions(&log).await, first(13));
    assert_eq!(kept.look(&log).await.unwrap(), made(3));
    assert_eq!(shown(), "3");
    check_keys(&log).await;
}

#[tokio::test]
async fn a_size_that_is_changed_is_that_of_the_partitions_to_come() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    append_to(&log, &["a"; 6]).await;
    let sql = "UPDATE log_head SET partition_size = 10";
    log.database().execute(sql, params![]).await.unwrap();
    append_to(&log, &["a"; 13]).await;
    assert_eq!(partitions(&log).await, [(1, 4), (5, 8), (9, 18), (19, 28)]);
    check_keys(&log).await;
}

#[tokio::test]
async fn two_log_processes_and_eight_writers_make_the_same_ones_at_once() {
    let backend = Backend::postgres().await;
    let logs = [divided(&backend).await, open_log(&backend).await];
    let (written, is_written) = tokio::sync::watch::channel(false);
    let lookers = logs.clone().map(|log| {
        let is_written = is_written.clone();
        tokio::spawn(async move {
            let mut made = 0;
            while !*is_written.borrow() {
                made += Partitions::default().look(&log).await.unwrap().made;
            }
            made
        })
    });
    let writers = (0..8).map(|writer: usize| {
        let log = logs[writer % 2].clone();
        tokio::spawn(async move {
            for _ in 0..12 {
                append_to(&log, &[format!("w-{writer}").as_str(); 3]).await;
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    written.send_replace(true);
    for looker in lookers {
        soon(looker).await.unwrap();
    }
    let there = partitions(&logs[0]).await;
    let count = i64::try_from(there.len()).unwrap();
    assert_eq!(there, first(count));
    assert!((72..=75).contains(&count), "{count}");
    let all = logs[0].read(&ReadQuery::after(0).limit(1_000)).await;
    let positions: Vec<_> = all.unwrap().iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=288).collect::<Vec<_>>());
    check_keys(&logs[0]).await;
}

#[tokio::test]
async fn an_append_waits_for_who_is_making_the_partition_that_it_needs() {
    let backend = Backend::postgres().await;
    let log = divided(&backend).await;
    append_to(&log, &["a"; 4]).await;
    for ends_well in [false, true] {
        let before = partitions(&log).await;
        let head = log.head().await.unwrap().position;
        let mut maker = log.database().begin().await.unwrap();
        let sql = "SELECT log_make_partitions(1)";
        maker.execute(sql, params![]).await.unwrap();
        let appending = tokio::spawn({
            let log = log.clone();
            async move { append_to(&log, &["a"; 4]).await }
        });
        let waits = "SELECT count(*) FROM pg_locks
                     WHERE locktype = 'advisory' AND NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        testkit::eventually(crate::fixture::PATIENCE, || async {
            let (waiting,): (i64,) = log.database().fetch_one(waits, params![]).await.unwrap();
            waiting == 1
        })
        .await;
        if ends_well {
            maker.commit().await.unwrap();
        } else {
            // Its process is gone.
            maker.rollback().await.unwrap();
        }
        assert_eq!(soon(appending).await.unwrap(), head + 4);
        assert_eq!(partitions(&log).await.len(), before.len() + 1);
    }
    check_keys(&log).await;
}

#[tokio::test]
async fn a_death_at_any_commit_of_the_making_is_made_up_for() {
    let backend = Backend::postgres().await;
    let log = open_log(&backend).await;
    divide(&log).await;
    let faults = CommitFaults::new();
    let mut options = LogOptions::default();
    options.database.commit_hook = Some(faults.clone());
    let fragile = event_store::Log::open(&backend.url, options).await.unwrap();
    for after in [false, true, false, true] {
        append_to(&log, &["a"; 5]).await;
        if after {
            faults.die_after(1);
        } else {
            faults.die_before(1);
        }
        let died = Partitions::default().look(&fragile).await;
        died.unwrap_err();
        assert!(faults.is_dead());
        faults.revive();
        append_to(&log, &["a"; 2]).await;
        let there = partitions(&log).await;
        assert_eq!(there, first(i64::try_from(there.len()).unwrap()));
    }
    Partitions::default().look(&fragile).await.unwrap();
    assert_eq!(partitions(&log).await, first(7 + AHEAD));
    check_keys(&log).await;
}

#[tokio::test]
async fn a_log_in_a_file_has_no_partitions_and_shows_none() {
    let backend = Backend::sqlite();
    let log = open_log(&backend).await;
    let kept = Partitions::default();
    let mut registry = Registry::default();
    kept.register(&log, &mut registry);
    assert_eq!(kept.look(&log).await.unwrap(), Looked::default());
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(!text.contains("log_partitions"), "{text}");
}
