use contracts::Recorded;
use event_store::{
    Append, Log, ReadQuery,
    log::{READ_LIMIT, category_of},
};
use testkit::Backend;
use uuid::Uuid;

use crate::fixture::{append_to, event, open_log, soon, typed};

testkit::both_databases!(
    events_are_read_by_position_stream_type_and_correlation_both_ways,
    what_is_asked_for_together_must_all_be_true_in_both_directions,
    a_stream_is_read_by_its_versions,
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

/// Every combination of what can be asked for, from every position, in both directions and in pages
/// of several sizes, against the plain definition.
async fn what_is_asked_for_together_must_all_be_true_in_both_directions(backend: Backend) {
    let log = open_log(&backend).await;
    let correlations = [Uuid::now_v7(), Uuid::now_v7()];
    // A category that is another's prefix, one without a hyphen, bytes above ASCII.
    let streams = [
        "quiz-1",
        "quiz-2",
        "quiz-1-x",
        "quizzes-1",
        "quiz",
        "Quiz-1",
        "q\u{fc}-1",
    ];
    let types = ["one", "two", "three"];
    let mut events = Vec::new();
    for number in 0..42 {
        let mut event = event(streams[number % streams.len()], 0);
        types[number * number % 3].clone_into(&mut event.event_type);
        event.correlation_id = correlations[number / 2 % 2];
        events.push(Append::any(event));
    }
    log.append(events).await.unwrap();
    let all = log.read(&ReadQuery::after(0)).await.unwrap();

    let streams = [None, Some("quiz-1"), Some("quizzes-1")];
    let categories = [
        None,
        Some("quiz"),
        Some("quizzes"),
        Some("q\u{fc}"),
        Some("qui"),
    ];
    let several: [&[&str]; 4] = [&[], &["two"], &["one", "three", "one"], &["none", "two"]];
    let correlations = [None, Some(correlations[1])];
    for stream in streams {
        for category in categories {
            for types in several {
                for correlation in correlations {
                    let asked = Asked {
                        stream,
                        category,
                        types,
                        correlation,
                    };
                    asked.compare(&log, &all).await;
                }
            }
        }
    }
}

#[derive(Debug)]
struct Asked<'a> {
    stream: Option<&'a str>,
    category: Option<&'a str>,
    types: &'a [&'a str],
    correlation: Option<Uuid>,
}

impl Asked<'_> {
    async fn compare(&self, log: &Log, all: &[Recorded]) {
        let fits = |recorded: &&Recorded| {
            let event = &recorded.event;
            self.stream.is_none_or(|stream| event.stream == stream)
                && self
                    .category
                    .is_none_or(|category| category_of(&event.stream) == category)
                && (self.types.is_empty() || self.types.contains(&event.event_type.as_str()))
                && self.correlation.is_none_or(|id| event.correlation_id == id)
        };
        let fitting: Vec<i64> = all
            .iter()
            .filter(fits)
            .map(|event| event.position)
            .collect();
        for (from, limit) in [(0, 100), (7, 3), (20, 1), (42, 2)] {
            let forward = self.narrow(ReadQuery::after(from)).limit(limit);
            let above = fitting.iter().copied().filter(|position| *position > from);
            let expected: Vec<i64> = above.take(limit as usize).collect();
            assert_eq!(
                positions(&log.read(&forward).await.unwrap()),
                expected,
                "{self:?} {from}"
            );
            let backward = self.narrow(ReadQuery::before(43 - from)).limit(limit);
            let below = fitting
                .iter()
                .rev()
                .copied()
                .filter(|position| *position < 43 - from);
            let expected: Vec<i64> = below.take(limit as usize).collect();
            assert_eq!(
                positions(&log.read(&backward).await.unwrap()),
                expected,
                "{self:?} {from}"
            );
        }
        if let Some(id) = all.last().map(|event| event.event.id) {
            let read = log
                .read(&self.narrow(ReadQuery::after(0)).id(id))
                .await
                .unwrap();
            assert_eq!(
                read.len(),
                usize::from(all.last().is_some_and(|event| fits(&event)))
            );
        }
    }

    fn narrow(&self, mut query: ReadQuery) -> ReadQuery {
        if let Some(stream) = self.stream {
            query = query.stream(stream);
        }
        if let Some(category) = self.category {
            query = query.category(category);
        }
        if let Some(correlation) = self.correlation {
            query = query.correlation(correlation);
        }
        query.types(self.types.iter().copied())
    }
}

async fn a_stream_is_read_by_its_versions(backend: Backend) {
    let log = open_log(&backend).await;
    for _ in 0..5 {
        append_to(&log, &["a", "b"]).await;
    }
    for (query, expected) in [
        (
            ReadQuery::after(0).stream("b").beyond_version(3),
            vec![8, 10],
        ),
        (ReadQuery::after(8).stream("b").beyond_version(3), vec![10]),
        (
            ReadQuery::newest().stream("b").beyond_version(3),
            vec![4, 2],
        ),
        (
            ReadQuery::after(0).stream("b").backward().limit(2),
            vec![10, 8],
        ),
        (ReadQuery::after(0).stream("b").beyond_version(5), vec![]),
    ] {
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
