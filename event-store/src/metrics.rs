use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Groups from one caller to a full queue.
const GROUP_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0];
/// From a fast disk's fsync to a database in trouble.
const SECONDS: [f64; 10] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0, 5.0,
];

/// A label set: `(name, value)` pairs.
type Labels = Vec<(&'static str, String)>;

/// Counters of everything that this crate does in one process; cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    appended: Counter,
    group_size: Histogram,
    append_seconds: Histogram,
    pub(crate) log_head: Gauge,
    outbox_age: Family<Labels, Gauge>,
    outbox_stuck: Family<Labels, Gauge>,
    relayed: Family<Labels, Counter>,
    relay_errors: Family<Labels, Counter>,
    consumer_lag: Family<Labels, Gauge>,
    handled: Family<Labels, Counter>,
    parked: Family<Labels, Counter>,
    refused: Family<Labels, Gauge>,
    published: Counter,
    publish_errors: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            appended: Counter::default(),
            group_size: Histogram::new(GROUP_SIZES),
            append_seconds: Histogram::new(SECONDS),
            log_head: Gauge::default(),
            outbox_age: Family::default(),
            outbox_stuck: Family::default(),
            relayed: Family::default(),
            relay_errors: Family::default(),
            consumer_lag: Family::default(),
            handled: Family::default(),
            parked: Family::default(),
            refused: Family::default(),
            published: Counter::default(),
            publish_errors: Counter::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to a process's registry.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry;
        r.register(
            "log_appended_events",
            "Events that got a position",
            self.appended.clone(),
        );
        r.register(
            "log_group_batches",
            "Callers that shared a commit",
            self.group_size.clone(),
        );
        r.register(
            "log_append_seconds",
            "Time of one group's commit",
            self.append_seconds.clone(),
        );
        r.register(
            "log_head",
            "The newest position known here",
            self.log_head.clone(),
        );
        r.register(
            "outbox_oldest_seconds",
            "Age of the oldest event that is not in the log",
            self.outbox_age.clone(),
        );
        r.register(
            "outbox_stuck_streams",
            "Streams that stand still because the log refused an event",
            self.outbox_stuck.clone(),
        );
        r.register(
            "relay_events",
            "Events moved into the log",
            self.relayed.clone(),
        );
        r.register(
            "relay_errors",
            "Rounds of the relay that failed",
            self.relay_errors.clone(),
        );
        r.register(
            "consumer_lag",
            "Positions behind the log's head",
            self.consumer_lag.clone(),
        );
        r.register("consumer_events", "Events handled", self.handled.clone());
        r.register(
            "consumer_parked_events",
            "Events set aside",
            self.parked.clone(),
        );
        r.register(
            "consumer_refused",
            "1 when the consumer refuses the log: another epoch, or a checkpoint beyond the head",
            self.refused.clone(),
        );
        r.register(
            "publisher_events",
            "Events handed to the bus",
            self.published.clone(),
        );
        r.register(
            "publisher_errors",
            "Failed hand-overs",
            self.publish_errors.clone(),
        );
    }

    pub(crate) fn appended_group(&self, batches: usize, events: usize, took: Duration) {
        self.appended.inc_by(events as u64);
        self.group_size.observe(batches as f64);
        self.append_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn relayed(&self, service: &str, events: usize) {
        self.relayed
            .get_or_create(&labels("service", service))
            .inc_by(events as u64);
    }

    pub(crate) fn relay_failed(&self, service: &str) {
        self.relay_errors
            .get_or_create(&labels("service", service))
            .inc();
    }

    pub(crate) fn outbox(&self, service: &str, oldest: Duration, stuck: i64) {
        let labels = labels("service", service);
        self.outbox_age
            .get_or_create(&labels)
            .set(i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX));
        self.outbox_stuck.get_or_create(&labels).set(stuck);
    }

    pub(crate) fn handled(&self, consumer: &str, events: usize) {
        self.handled
            .get_or_create(&labels("consumer", consumer))
            .inc_by(events as u64);
    }

    pub(crate) fn parked(&self, consumer: &str) {
        self.parked
            .get_or_create(&labels("consumer", consumer))
            .inc();
    }

    pub(crate) fn consumer(&self, consumer: &str, lag: i64, refused: bool) {
        let labels = labels("consumer", consumer);
        self.consumer_lag.get_or_create(&labels).set(lag.max(0));
        self.refused.get_or_create(&labels).set(i64::from(refused));
    }

    pub(crate) fn published(&self, events: usize) {
        self.published.inc_by(events as u64);
    }

    pub(crate) fn publish_failed(&self) {
        self.publish_errors.inc();
    }
}

fn labels(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}
