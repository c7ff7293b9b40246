use contracts::Recorded;
use event_store::{Append, ReadQuery, log::READ_LIMIT};
use testkit::Backend;
use uuid::Uuid;

use crate::fixture::{append_to, event, open_log, soon, typed};

testkit::both_databases!(
    events_are_read_by_position_stream_type_and_correlation_both_ways,
    an_answer_is_bounded,
    whoever_waits_is_woken_by_an_append_of_another_process,
);

fn positions(events: &[Recorded]) -> Vec<i64> {
    events.iter().map(|event| event.position).collect()
}

async fn events_are_read_by_position_stream_type_and_correlation_both_ways(backend: Backend) {
    let log = open_log(&backend).await;
    let correlation = Uuid::now_v7();
    let mut events = vec![
        typed("a", 1, "one"),
        typed("b", 1, "two"),
        typed("a", 2, "three"),
        typed("b", 2, "one"),
    ];
    events[1].correlation_id = correlation;
    events[2].correlation_id = correlation;
    let id = events[3].id;
    log.append(events.into_iter().map(Append::exact).collect())
        .await
        .unwrap();
    let cases = [
        (ReadQuery::after(2), vec![3, 4]),
        (ReadQuery::before(3), vec![2, 1]),
        (ReadQuery::newest().limit(2), vec![4, 3]),
        (ReadQuery::after(0).stream("a"), vec![1, 3]),
        (ReadQuery::after(0).stream("a").backward(), vec![3, 1]),
        (ReadQuery::after(1).types(["one", "three"]), vec![3, 4]),
        (ReadQuery::newest().types(["one"]), vec![4, 1]),
        (ReadQuery::after(0).correlation(correlation), vec![2, 3]),
        (ReadQuery::after(0).id(id), vec![4]),
        (ReadQuery::after(4), vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(
            positions(&log.read(&query).await.unwrap()),
            expected,
            "{query:?}"
        );
    }
}

async fn an_answer_is_bounded(backend: Backend) {
    let log = open_log(&backend).await;
    let count = i64::from(READ_LIMIT);
    for batch in 0..3 {
        let events = (1..=count / 2)
            .map(|n| event("a", batch * count / 2 + n).into())
            .collect();
        log.append(events).await.unwrap();
    }
    let read = log
        .read(&ReadQuery::after(0).limit(u32::MAX))
        .await
        .unwrap();
    assert_eq!(read.len(), READ_LIMIT as usize);
    assert_eq!(log.read(&ReadQuery::after(0)).await.unwrap().len(), 100);
}

async fn whoever_waits_is_woken_by_an_append_of_another_process(backend: Backend) {
    let mine = open_log(&backend).await;
    let other = open_log(&backend).await;
    let mut appended = mine.appended();
    let position = append_to(&other, &["a", "b"]).await;
    soon(appended.wait_for(|head| *head >= position))
        .await
        .unwrap();
    assert_eq!(
        *other.appended().borrow(),
        position,
        "the appending process knows at once"
    );
}
