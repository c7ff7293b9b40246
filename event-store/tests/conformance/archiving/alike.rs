//! Whatever is read, the answer is what it was before.

use std::sync::atomic::Ordering;

use contracts::Recorded;
use database::Timestamp;
use event_store::{Append, Kind, Log, ReadQuery, ops::Stats};
use futures::StreamExt;
use testkit::{Backend, eventually};
use tower::ServiceExt;
use uuid::Uuid;

use super::Kept;
use crate::{
    consumers::handler::{Journal, NAME, handled, journal_database, start},
    fixture::{PATIENCE, append_to, soon, typed},
};

testkit::both_databases!(
    every_question_has_the_same_answer_before_and_after,
    every_time_stands_for_the_same_position,
    a_consumer_that_begins_reads_files_and_then_rows,
    a_tail_goes_through_files_into_what_comes,
    a_reader_misses_nothing_while_rows_go,
    a_restored_log_reads_what_the_one_before_archived,
);

/// Streams of three categories, four types, two correlations that are shared.
async fn fill(log: &Log, events: i64) -> Vec<Uuid> {
    let shared = [Uuid::now_v7(), Uuid::now_v7()];
    for number in 0..events {
        let stream = ["a-1", "a-2", "b-1", "c"][usize::try_from(number * 7 % 4).unwrap()];
        let kind = ["one", "two", "three", "rare"][match number {
            5 | 21 => 3,
            number => usize::try_from(number % 3).unwrap(),
        }];
        let mut event = typed(stream, 0, kind);
        if number % 5 == 0 {
            event.correlation_id = shared[usize::try_from(number % 2).unwrap()];
        }
        log.append(vec![Append::any(event)]).await.unwrap();
    }
    shared.into()
}

fn narrowed(ids: [Uuid; 2], correlation: Uuid) -> Vec<Box<dyn Fn(ReadQuery) -> ReadQuery>> {
    vec![
        Box::new(|q| q),
        Box::new(move |q| q.id(ids[0])),
        Box::new(move |q| q.id(ids[1])),
        Box::new(move |q| q.id(ids[0]).stream("c")),
        Box::new(|q| q.stream("a-1")),
        Box::new(|q| q.stream("a-1").beyond_version(3)),
        Box::new(|q| q.stream("b-1").types(["two", "rare"])),
        Box::new(|q| q.stream("nothing")),
        Box::new(|q| q.category("a")),
        Box::new(|q| q.category("a").types(["one"])),
        Box::new(|q| q.category("a").stream("b-1")),
        Box::new(|q| q.types(["rare"])),
        Box::new(|q| q.types(["rare", "three"])),
        Box::new(|q| q.types(["never"])),
        Box::new(move |q| q.correlation(correlation)),
        Box::new(move |q| q.correlation(correlation).types(["two"])),
        Box::new(move |q| q.correlation(correlation).category("b")),
    ]
}

async fn answers(log: &Log, head: i64, ids: [Uuid; 2], correlation: Uuid) -> Vec<Vec<Recorded>> {
    let mut answers = Vec::new();
    for narrow in narrowed(ids, correlation) {
        for from in [0, 3, 4, 9, head, i64::MAX] {
            for query in [
                ReadQuery::after(from),
                ReadQuery::before(from),
                ReadQuery::after(from).backward(),
            ] {
                for limit in [2, 100] {
                    let query = narrow(query.clone()).limit(limit);
                    answers.push(log.read(&query).await.unwrap());
                }
            }
        }
    }
    answers
}

async fn stats(log: &Log) -> Stats {
    let router = event_store::ops::log(log.clone());
    let asked = axum::http::Request::get("/events/stats")
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = router.oneshot(asked).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .unwrap();
    serde_json::from_slice(&body).unwrap()
}

async fn every_question_has_the_same_answer_before_and_after(backend: Backend) {
    let kept = Kept::with(backend).await;
    let shared = fill(&kept.log, 26).await;
    kept.archive().await;
    let all = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    let counted = stats(&kept.log).await;
    // One that goes, and one that stays.
    let ids = [all[5].event.id, all[25].event.id];
    let asked = || answers(&kept.log, 26, ids, shared[0]);
    let before = asked().await;
    for position in [4, 20] {
        hold_at(&kept.log, position).await;
        kept.remove_to(position).await;
        assert_eq!(kept.rows().await, (position + 1..=26).collect::<Vec<_>>());
        for (at, (was, is)) in before.iter().zip(asked().await).enumerate() {
            assert_eq!(*was, is, "question {at} with the archive up to {position}");
        }
        assert_eq!(stats(&kept.log).await, counted);
    }
    release(&kept.log).await;
    kept.remove_to(26).await;
    assert_eq!(kept.rows().await, [] as [i64; 0]);
    assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap(), all);
    assert_eq!(stats(&kept.log).await, counted);
}

/// A consumer that is no further.
pub(crate) async fn hold_at(log: &Log, position: i64) {
    let now = log.database().now().await.unwrap();
    log.database()
        .execute(
            "INSERT INTO log_readers (reader, epoch, position, reported_at)
             VALUES ('test/slow', $1, $2, $3)
             ON CONFLICT (reader) DO UPDATE SET epoch = $1, position = $2",
            database::params![log.epoch(), position, now],
        )
        .await
        .unwrap();
}

pub(crate) async fn release(log: &Log) {
    let sql = "DELETE FROM log_readers WHERE reader = 'test/slow'";
    log.database().execute(sql, vec![]).await.unwrap();
}

async fn every_time_stands_for_the_same_position(backend: Backend) {
    let kept = Kept::with(backend).await;
    fill(&kept.log, 14).await;
    let all = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    let taken = all.iter().map(|event| event.recorded_at.unwrap().into());
    let mut times: Vec<Timestamp> = taken.collect();
    times.push(Timestamp::from_micros(0));
    times.push(*times.iter().max().unwrap() + std::time::Duration::from_secs(60));
    let positions = async || {
        let mut positions = Vec::new();
        for time in &times {
            positions.push(kept.log.position_before(*time).await.unwrap());
        }
        positions
    };
    let before = positions().await;
    kept.archive().await;
    hold_at(&kept.log, 8).await;
    kept.remove_to(8).await;
    assert_eq!(positions().await, before);
    release(&kept.log).await;
    kept.remove_to(14).await;
    assert_eq!(positions().await, before);
}

async fn a_consumer_that_begins_reads_files_and_then_rows(backend: Backend) {
    let kept = Kept::with(crate::fixture::another(&backend).await).await;
    fill(&kept.log, 10).await;
    kept.archive().await;
    kept.remove_to(10).await;
    append_to(&kept.log, &["a-1", "d"]).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    assert_eq!(journal.kind, Kind::Projection);
    let running = start(&database, &kept.log, &journal, None);
    running.at(12).await;
    assert_eq!(handled(&database).await, (1..=12).collect::<Vec<_>>());
    // What it has read it tells, and replays all the same.
    let beginning = event_store::consumer::Start::Beginning;
    running.consumers.replay(NAME, beginning).await.unwrap();
    eventually(PATIENCE, || async {
        journal.calls.load(Ordering::Relaxed) == 24
    })
    .await;
    running.at(12).await;
    assert_eq!(handled(&database).await, (1..=12).collect::<Vec<_>>());
    running.stop().await;
}

async fn a_tail_goes_through_files_into_what_comes(backend: Backend) {
    let kept = Kept::with(backend).await;
    fill(&kept.log, 10).await;
    kept.archive().await;
    kept.remove_to(10).await;
    let mut tail = std::pin::pin!(kept.log.tail(ReadQuery::after(2)));
    for position in 3..=10 {
        let event = soon(tail.next()).await.unwrap().unwrap();
        assert_eq!(event.position, position);
    }
    append_to(&kept.log, &["a-1"]).await;
    assert_eq!(soon(tail.next()).await.unwrap().unwrap().position, 11);
}

async fn a_reader_misses_nothing_while_rows_go(backend: Backend) {
    let kept = Kept::with(backend).await;
    fill(&kept.log, 60).await;
    kept.archive().await;
    let (gone, is_gone) = tokio::sync::watch::channel(false);
    let readers = (0..4).map(|reader| {
        let (log, is_gone) = (kept.log.clone(), is_gone.clone());
        tokio::spawn(async move {
            let mut rounds = 0;
            loop {
                let was_gone = *is_gone.borrow();
                let forward = ReadQuery::after(0).limit(3 + reader);
                check_all(&log, forward, 1..=60).await;
                let backward = ReadQuery::newest().limit(3 + reader);
                check_all(&log, backward, (1..=60).rev()).await;
                rounds += 1;
                if was_gone {
                    return rounds;
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    kept.remove_to(60).await;
    gone.send_replace(true);
    for reader in readers {
        assert!(soon(reader).await.unwrap() > 0);
    }
}

async fn check_all(log: &Log, query: ReadQuery, mut expected: impl Iterator<Item = i64>) {
    let is_backward = query == query.clone().backward();
    let mut page = log.read(&query).await.unwrap();
    while let Some(last) = page.last().map(|event| event.position) {
        for event in page {
            assert_eq!(Some(event.position), expected.next());
        }
        let next = if is_backward {
            ReadQuery::before(last)
        } else {
            ReadQuery::after(last)
        };
        page = log.read(&next.limit(5)).await.unwrap();
    }
    assert_eq!(expected.next(), None);
}

async fn a_restored_log_reads_what_the_one_before_archived(backend: Backend) {
    let kept = Kept::with(backend).await;
    fill(&kept.log, 10).await;
    kept.archive().await;
    hold_at(&kept.log, 8).await;
    kept.remove_to(8).await;
    let before = kept.log.epoch();
    kept.log.begin_epoch("a drill", "ann").await.unwrap();
    fill(&kept.log, 3).await;
    let all = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    assert_eq!(all.len(), 13);
    assert!(all.iter().all(|event| event.epoch == kept.log.epoch()));
    assert_ne!(before, kept.log.epoch());
    // Its own archive begins anew, from the files of the one before; its ranges end elsewhere.
    kept.archive().await;
    release(&kept.log).await;
    kept.remove_to(13).await;
    assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap(), all);
}
