//! The log as a stream: whatever happens, each event once, in order, without a hole.

use std::pin::pin;

use contracts::Recorded;
use database::Dialect;
use event_store::{Log, LogOptions, ReadQuery, log::Replaced};
use futures::{Stream, StreamExt};
use testkit::{Backend, proxy::Mode};

use crate::{
    fixture::{append_to, event, open_log, soon},
    outage::through_proxy,
};

const WRITERS: i64 = 8;
const APPENDS_EACH: i64 = 40;

testkit::both_databases!(
    a_tail_sees_what_was_there_and_then_all_that_many_writers_append,
    a_tail_of_a_selection_sees_that_selection_and_all_of_it,
    a_tail_of_the_newest_sees_only_what_comes,
    a_log_that_was_replaced_is_told_and_the_tail_goes_on_from_what_both_share,
);

/// The positions of the next events.
async fn positions(
    tail: &mut (impl Stream<Item = Result<Recorded, Replaced>> + Unpin),
    count: usize,
) -> Vec<i64> {
    let events: Vec<_> = soon(tail.take(count).collect()).await;
    let events = events.into_iter().map(|event| event.unwrap().position);
    events.collect()
}

async fn write_all(log: &Log) {
    let writers = (0..WRITERS).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            let stream = format!("{}-{writer}", ["even", "odd"][(writer % 2) as usize]);
            for version in 1..=APPENDS_EACH {
                let new = event(&stream, version);
                log.append(vec![new.into()]).await.unwrap();
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
}

async fn a_tail_sees_what_was_there_and_then_all_that_many_writers_append(backend: Backend) {
    let log = open_log(&backend).await;
    append_to(&log, &["a"; 300]).await;
    // Another process' log, so that nothing is told within this one.
    let elsewhere = open_log(&backend).await;
    let mut tail = pin!(log.tail(ReadQuery::after(2)));
    let all = 298 + WRITERS * APPENDS_EACH;
    let (seen, ()) = tokio::join!(positions(&mut tail, all as usize), write_all(&elsewhere));
    assert_eq!(seen, (3..=300 + WRITERS * APPENDS_EACH).collect::<Vec<_>>());
}

async fn a_tail_of_a_selection_sees_that_selection_and_all_of_it(backend: Backend) {
    let log = open_log(&backend).await;
    let half = (WRITERS * APPENDS_EACH / 2) as usize;
    let mut odd = pin!(log.tail(ReadQuery::after(0).category("odd")));
    let mut one = pin!(log.tail(ReadQuery::after(0).stream("even-4")));
    let (odd, one, ()) = tokio::join!(
        positions(&mut odd, half),
        positions(&mut one, APPENDS_EACH as usize),
        write_all(&log)
    );
    for (query, seen) in [
        (ReadQuery::after(0).category("odd"), odd),
        (ReadQuery::after(0).stream("even-4"), one),
    ] {
        let read = log.read(&query.limit(1_000)).await.unwrap();
        let read: Vec<_> = read.iter().map(|event| event.position).collect();
        assert_eq!(seen, read);
    }
}

async fn a_tail_of_the_newest_sees_only_what_comes(backend: Backend) {
    let log = open_log(&backend).await;
    append_to(&log, &["a", "b"]).await;
    let mut tail = pin!(log.tail(ReadQuery::newest()));
    let nothing = futures::poll!(tail.next());
    assert!(nothing.is_pending());
    let (seen, _) = tokio::join!(positions(&mut tail, 2), async {
        // The tail has to look at the head before: on this thread it does so first.
        tokio::task::yield_now().await;
        append_to(&log, &["c", "d"]).await
    });
    assert_eq!(seen, [3, 4]);
}

/// Loses all events above a position, as a restored backup does.
async fn lose_above(log: &Log, position: i64) {
    let guard = match log.dialect() {
        Dialect::Postgres => "DROP TRIGGER IF EXISTS events_never_deleted ON events",
        Dialect::Sqlite => "DROP TRIGGER IF EXISTS events_never_deleted",
    };
    let database = log.database();
    database.execute(guard, vec![]).await.unwrap();
    let keys = match log.dialect() {
        Dialect::Postgres => "DELETE FROM event_keys WHERE position > $1",
        Dialect::Sqlite => "DELETE FROM archived_keys WHERE position > $1",
    };
    for sql in [
        "DELETE FROM events WHERE position > $1",
        keys,
        "UPDATE log_head SET head = $1, keys_to = $1",
    ] {
        database.execute(sql, vec![position.into()]).await.unwrap();
    }
}

async fn a_log_that_was_replaced_is_told_and_the_tail_goes_on_from_what_both_share(
    backend: Backend,
) {
    let log = open_log(&backend).await;
    let first = log.epoch();
    append_to(&log, &["a", "b", "c"]).await;
    let mut tail = pin!(log.tail(ReadQuery::after(0)));
    assert_eq!(positions(&mut tail, 3).await, [1, 2, 3]);

    log.begin_epoch("nothing was lost", "ann").await.unwrap();
    append_to(&log, &["d"]).await;
    let told = soon(tail.next()).await.unwrap().unwrap_err();
    assert_eq!((told.before.epoch, told.after), (first, 3));
    assert_eq!(told.now.epoch, log.epoch());
    assert_eq!(positions(&mut tail, 1).await, [4]);

    lose_above(&log, 2).await;
    log.begin_epoch("the disk died", "ann").await.unwrap();
    append_to(&log, &["x"]).await;
    let told = soon(tail.next()).await.unwrap().unwrap_err();
    assert_eq!((told.before.position, told.after), (4, 2));
    let next = soon(tail.next()).await.unwrap().unwrap();
    assert_eq!((next.position, next.event.stream.as_str()), (3, "x"));

    // Nobody said that it was restored.
    lose_above(&log, 1).await;
    let told = soon(tail.next()).await.unwrap().unwrap_err();
    assert_eq!((told.before.position, told.after), (3, 1));
    assert_eq!(told.before.epoch, told.now.epoch);
}

#[tokio::test]
async fn a_tail_outlives_an_outage_and_misses_nothing() {
    let backend = Backend::postgres().await;
    let (url, proxy) = through_proxy(&backend).await;
    let direct = open_log(&backend).await;
    let log = Log::open(&url, LogOptions::default()).await.unwrap();
    let mut tail = pin!(log.tail(ReadQuery::after(0)));
    let mut next = 1;
    for mode in [Mode::Refuse, Mode::Reset, Mode::CutResponseAfter(40)] {
        let head = append_to(&direct, &["a", "b"]).await;
        let seen = positions(&mut tail, 2).await;
        assert_eq!(seen, (next..=head).collect::<Vec<_>>());
        proxy.set(mode).await;
        proxy.sever().await;
        // It tries and fails at least once before the log is back.
        let tried = proxy.accepted();
        let head = append_to(&direct, &["c"; 200]).await;
        let (seen, ()) = tokio::join!(positions(&mut tail, 200), async {
            if mode != Mode::Refuse {
                testkit::eventually(crate::fixture::PATIENCE, || async {
                    proxy.accepted() > tried
                })
                .await;
            }
            proxy.set(Mode::Pass).await;
        });
        assert_eq!(seen, (head - 199..=head).collect::<Vec<_>>());
        next = head + 1;
    }
}
