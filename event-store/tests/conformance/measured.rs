//! What an operator is warned by is there while it is true: above all when the part in question
//! hangs and reports nothing itself.

use chassis::{Metrics, Shutdown};
use event_store::{
    Consumers, Log,
    consumer::Fault,
    outbox::{RelayOptions, run_relay},
    watch,
};
use testkit::{Backend, eventually};

use crate::{
    consumers::handler::{Journal, Mood, NAME, journal_database, start},
    fixture::{OUTBOX, PATIENCE, append_to, draft, log_apart, service, soon},
};

testkit::both_databases!(
    lag_and_errors_show_while_a_handler_keeps_failing,
    a_consumer_that_only_passes_events_over_is_seen_to_move,
    the_outbox_ages_while_nobody_relays_and_parked_events_are_counted,
    an_events_hops_are_timed_from_its_writer_to_its_handler,
);

fn shown(log: &Log, consumers: &Consumers) -> Metrics {
    let metrics = Metrics::new();
    metrics.register(|registry| {
        log.metrics().register(registry);
        consumers.register(registry);
    });
    metrics
}

/// The value of a series, once it is what `right` accepts.
async fn value(metrics: &Metrics, series: &str, right: impl Fn(f64) -> bool) -> f64 {
    eventually(PATIENCE, || async {
        let text = metrics.encode().expect("a text");
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        let value: f64 = line?.trim().parse().expect("a number");
        right(value).then_some(value)
    })
    .await
}

async fn lag_and_errors_show_while_a_handler_keeps_failing(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("a", Mood::Fails(Fault::Transient), u32::MAX);
    let running = start(&database, &log, &journal, None);
    let metrics = shown(&log, &running.consumers);
    let lag = format!("consumer_lag{{consumer=\"{NAME}\"}}");
    value(&metrics, &lag, |lag| lag == 0.0).await;
    append_to(&log, &["a", "b"]).await;
    value(&metrics, &lag, |lag| lag == 2.0).await;
    let errors = format!("consumer_errors_total{{consumer=\"{NAME}\",fault=\"transient\"}}");
    value(&metrics, &errors, |errors| errors > 1.0).await;
    // It rises although the consumer itself has not come back to anything.
    append_to(&log, &["c"]).await;
    value(&metrics, &lag, |lag| lag == 3.0).await;
    journal.cheer_up();
    value(&metrics, &lag, |lag| lag == 0.0).await;
    running.stop().await;
}

async fn a_consumer_that_only_passes_events_over_is_seen_to_move(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let mut journal = Journal::new();
    journal.types = &["user.created"];
    let running = start(&database, &log, &journal, None);
    let metrics = shown(&log, &running.consumers);
    let position = format!("consumer_position{{consumer=\"{NAME}\"}}");
    value(&metrics, &position, |position| position == 0.0).await;
    append_to(&log, &["a", "b"]).await;
    value(&metrics, &position, |position| position == 2.0).await;
    let handled = format!("consumer_events_total{{consumer=\"{NAME}\"}}");
    value(&metrics, &handled, |handled| handled == 0.0).await;
    running.stop().await;
}

async fn the_outbox_ages_while_nobody_relays_and_parked_events_are_counted(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let journal = Journal::new();
    journal.mood("a", Mood::Fails(Fault::Poison), 1);
    let running = start(&database, &log, &journal, None);
    append_to(&log, &["a"]).await;
    running.at(1).await;
    let mut tx = database.begin().await.expect("a transaction");
    let written = OUTBOX.enqueue(&mut tx, draft("mine")).await;
    written.expect("enqueued");
    tx.commit().await.expect("committed");

    let (metrics, stop) = (shown(&log, &running.consumers), Shutdown::new());
    let watching = tokio::spawn(watch::run(
        "test",
        database.clone(),
        log.metrics().clone(),
        running.consumers.clone(),
        stop.clone(),
    ));
    let waiting = "outbox_waiting_events{service=\"test\"}";
    value(&metrics, waiting, |waiting| waiting == 1.0).await;
    let oldest = "outbox_oldest_seconds{service=\"test\"}";
    let age = value(&metrics, oldest, |age| age > 0.0).await;
    assert!(age < PATIENCE.as_secs_f64(), "{age}");
    let parked = format!("parked_events{{consumer=\"{NAME}\"}}");
    value(&metrics, &parked, |parked| parked == 1.0).await;
    // What an earlier version's consumer left behind is told until somebody has cleared it.
    let theirs = "UPDATE parked_events SET consumer = 'earlier'";
    database.execute(theirs, vec![]).await.expect("one row");
    let earlier = "parked_events{consumer=\"earlier\"}";
    value(&metrics, earlier, |parked| parked == 1.0).await;
    let cleared = "DELETE FROM parked_events";
    database.execute(cleared, vec![]).await.expect("one row");
    value(&metrics, earlier, |parked| parked == 0.0).await;
    stop.trigger();
    soon(watching).await.expect("it ends");
    running.stop().await;
}

async fn an_events_hops_are_timed_from_its_writer_to_its_handler(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let (owner, database) = (service(&backend).await, journal_database(&backend).await);
    let running = start(&database, &log, &Journal::new(), None);
    let metrics = shown(&log, &running.consumers);
    let stop = Shutdown::new();
    let relay = tokio::spawn(run_relay(
        owner.clone(),
        log.clone(),
        RelayOptions::new("test"),
        stop.clone(),
    ));
    let mut tx = owner.begin().await.expect("a transaction");
    let written = OUTBOX.enqueue(&mut tx, draft("mine")).await;
    written.expect("enqueued");
    tx.commit().await.expect("committed");
    running.at(1).await;
    for (hop, consumer) in [
        ("written_to_appended", None),
        ("appended_to_received", Some(NAME)),
        ("appended_to_handled", Some(NAME)),
        ("written_to_handled", Some(NAME)),
    ] {
        let consumer = consumer.map_or(String::new(), |name| format!(",consumer=\"{name}\""));
        let series = |what: &str| format!("event_hop_seconds_{what}{{hop=\"{hop}\"{consumer}}}");
        value(&metrics, &series("count"), |count| count == 1.0).await;
        let took = value(&metrics, &series("sum"), |_| true).await;
        assert!(
            (0.0..PATIENCE.as_secs_f64()).contains(&took),
            "{hop}: {took}"
        );
    }
    stop.trigger();
    soon(relay).await.expect("the relay ends");
    running.stop().await;
}
