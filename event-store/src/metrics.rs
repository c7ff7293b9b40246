//! What this crate counts in one process part. The meaning, the unit and the bound of every label
//! stand in `docs/signals.md`.

mod bus;
mod hop;
mod log;

use std::time::Duration;

use contracts::Recorded;
use database::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub use self::bus::BusMetrics;
use self::hop::Hops;
pub(crate) use self::{hop::Hop, log::Appends};
use crate::consumer::Fault;

/// From a fast disk's fsync to a database in trouble.
const SECONDS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];

/// A label set: `(name, value)` pairs.
type Labels = Vec<(&'static str, String)>;
type Seconds = Family<Labels, Histogram, fn() -> Histogram>;

/// Counters of everything that this crate does in one part; cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) appends: Appends,
    shows_appends: bool,
    hops: Hops,
    outbox_age: Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    outbox_waiting: Family<Labels, Gauge>,
    outbox_stuck: Family<Labels, Gauge>,
    relayed: Family<Labels, Counter>,
    relay_errors: Family<Labels, Counter>,
    handled: Family<Labels, Counter>,
    transactions: Seconds,
    parked: Family<Labels, Counter>,
    parked_now: Family<Labels, Gauge>,
    consumer_errors: Family<Labels, Counter>,
    received: Family<Labels, Counter>,
    holes: Family<Labels, Counter>,
    silences: Family<Labels, Counter>,
    published: Counter,
    publish_seconds: Histogram,
    publish_errors: Family<Labels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            appends: Appends::default(),
            shows_appends: true,
            hops: Hops::default(),
            outbox_age: Family::default(),
            outbox_waiting: Family::default(),
            outbox_stuck: Family::default(),
            relayed: Family::default(),
            relay_errors: Family::default(),
            handled: Family::default(),
            transactions: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            parked: Family::default(),
            parked_now: Family::default(),
            consumer_errors: Family::default(),
            received: Family::default(),
            holes: Family::default(),
            silences: Family::default(),
            published: Counter::default(),
            publish_seconds: Histogram::new(SECONDS),
            publish_errors: Family::default(),
        }
    }
}

/// Where a consumer got events from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Bus,
    Log,
}

impl Metrics {
    /// Counters of another part of the same process, which shares the appends: only the part that
    /// the log belongs to shows those.
    #[must_use]
    pub(crate) fn apart(&self) -> Self {
        Self {
            appends: self.appends.clone(),
            shows_appends: false,
            ..Self::default()
        }
    }

    /// Adds all of them to a part's registry.
    pub fn register(&self, r: &mut Registry) {
        if self.shows_appends {
            self.appends.register(r);
        }
        self.hops.register(r);
        self.register_outbox(r);
        self.register_consumers(r);
    }

    fn register_outbox(&self, r: &mut Registry) {
        r.register(
            "outbox_oldest_seconds",
            "Age of the oldest event that is not in the log",
            self.outbox_age.clone(),
        );
        r.register(
            "outbox_waiting_events",
            "Events that are not in the log",
            self.outbox_waiting.clone(),
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
            "Rounds of the relay that failed, by whose fault",
            self.relay_errors.clone(),
        );
    }

    fn register_consumers(&self, r: &mut Registry) {
        r.register("consumer_events", "Events handled", self.handled.clone());
        r.register(
            "consumer_transaction_seconds",
            "Time from the claim of the checkpoint to the commit, of one event or a batch",
            self.transactions.clone(),
        );
        r.register(
            "consumer_parked_events",
            "Events set aside since the process began",
            self.parked.clone(),
        );
        r.register(
            "parked_events",
            "Events that are set aside now, those that wait behind them included",
            self.parked_now.clone(),
        );
        r.register(
            "consumer_errors",
            "Attempts that failed, by fault",
            self.consumer_errors.clone(),
        );
        r.register(
            "consumer_received_events",
            "Events that came, by where from: the bus is the fast way",
            self.received.clone(),
        );
        r.register(
            "consumer_holes",
            "Times that events were missing on the bus and were read from the log",
            self.holes.clone(),
        );
        r.register(
            "consumer_silences",
            "Times that the bus was silent although the log had grown",
            self.silences.clone(),
        );
    }

    /// Adds those that only a publisher has.
    pub(crate) fn register_publisher(&self, r: &mut Registry) {
        r.register(
            "publisher_events",
            "Events handed to the bus",
            self.published.clone(),
        );
        r.register(
            "publisher_batch_seconds",
            "Time from handing a batch to the bus until all of it is confirmed",
            self.publish_seconds.clone(),
        );
        for cause in ["log", "bus", "refused"] {
            self.publish_errors
                .get_or_create_owned(&labels("cause", cause));
        }
        r.register(
            "publisher_errors",
            "Hand-overs that failed, by whose fault",
            self.publish_errors.clone(),
        );
    }

    /// Shows zeros for this relay, so that the first error is seen as a rise.
    pub(crate) fn relay_begins(&self, service: &str) {
        self.relayed
            .get_or_create_owned(&labels("service", service));
        for cause in ["database", "log"] {
            self.relay_errors
                .get_or_create_owned(&by_cause(service, cause));
        }
        self.hops.begin(Hop::WrittenToAppended, None);
    }

    /// Shows zeros for this consumer, so that the first error is seen as a rise.
    pub(crate) fn consumer_begins(&self, consumer: &str) {
        let named = labels("consumer", consumer);
        self.handled.get_or_create_owned(&named);
        self.transactions.get_or_create_owned(&named);
        self.parked.get_or_create_owned(&named);
        self.holes.get_or_create_owned(&named);
        self.silences.get_or_create_owned(&named);
        for fault in ["transient", "unclear", "poison", "database"] {
            self.consumer_errors
                .get_or_create_owned(&by_fault(consumer, fault));
        }
        for source in [Source::Bus, Source::Log] {
            self.received
                .get_or_create_owned(&by_source(consumer, source));
        }
        for hop in [
            Hop::AppendedToReceived,
            Hop::AppendedToHandled,
            Hop::WrittenToHandled,
        ] {
            self.hops.begin(hop, Some(consumer));
        }
    }

    pub(crate) fn hop(
        &self,
        hop: Hop,
        consumer: Option<&str>,
        times: impl Iterator<Item = Duration>,
    ) {
        self.hops.took(hop, consumer, times);
    }

    pub(crate) fn relayed(&self, service: &str, events: usize) {
        self.relayed
            .get_or_create(&labels("service", service))
            .inc_by(events as u64);
    }

    pub(crate) fn relay_failed(&self, service: &str, cause: &str) {
        self.relay_errors
            .get_or_create(&by_cause(service, cause))
            .inc();
    }

    pub(crate) fn outbox(&self, service: &str, oldest: Duration, waiting: i64, stuck: i64) {
        let labels = labels("service", service);
        self.outbox_age
            .get_or_create(&labels)
            .set(oldest.as_secs_f64());
        self.outbox_waiting.get_or_create(&labels).set(waiting);
        self.outbox_stuck.get_or_create(&labels).set(stuck);
    }

    pub(crate) fn parked_now(&self, consumer: &str, events: i64) {
        self.parked_now
            .get_or_create(&labels("consumer", consumer))
            .set(events);
    }

    pub(crate) fn received(
        &self,
        consumer: &str,
        source: Source,
        events: &[impl AsRef<Recorded>],
        now: Timestamp,
    ) {
        self.received
            .get_or_create(&by_source(consumer, source))
            .inc_by(events.len() as u64);
        let events = events.iter().map(AsRef::as_ref);
        self.hops.took(
            Hop::AppendedToReceived,
            Some(consumer),
            since_appended(events, now),
        );
    }

    pub(crate) fn hole(&self, consumer: &str) {
        self.holes
            .get_or_create(&labels("consumer", consumer))
            .inc();
    }

    pub(crate) fn silence(&self, consumer: &str) {
        self.silences
            .get_or_create(&labels("consumer", consumer))
            .inc();
    }

    /// One transaction that was committed at `now` by the log's clock.
    pub(crate) fn handled(
        &self,
        consumer: &str,
        events: &[&Recorded],
        took: Duration,
        now: Timestamp,
    ) {
        let named = labels("consumer", consumer);
        self.handled
            .get_or_create(&named)
            .inc_by(events.len() as u64);
        self.transactions
            .get_or_create(&named)
            .observe(took.as_secs_f64());
        let appended = since_appended(events.iter().copied(), now);
        self.hops
            .took(Hop::AppendedToHandled, Some(consumer), appended);
        let written = events
            .iter()
            .map(|event| now.since(event.event.timestamp.into()));
        self.hops
            .took(Hop::WrittenToHandled, Some(consumer), written);
    }

    pub(crate) fn consumer_failed(&self, consumer: &str, fault: Option<Fault>) {
        let fault = match fault {
            Some(Fault::Transient) => "transient",
            Some(Fault::Unclear) => "unclear",
            Some(Fault::Poison) => "poison",
            None => "database",
        };
        self.consumer_errors
            .get_or_create(&by_fault(consumer, fault))
            .inc();
    }

    pub(crate) fn parked(&self, consumer: &str) {
        self.parked
            .get_or_create(&labels("consumer", consumer))
            .inc();
    }

    /// One batch that the bus confirmed at `now` by the log's clock.
    pub(crate) fn published(&self, events: &[Recorded], took: Duration, now: Timestamp) {
        self.published.inc_by(events.len() as u64);
        self.publish_seconds.observe(took.as_secs_f64());
        self.hops.took(
            Hop::AppendedToPublished,
            None,
            since_appended(events.iter(), now),
        );
    }

    pub(crate) fn publish_failed(&self, cause: &str) {
        self.publish_errors
            .get_or_create(&labels("cause", cause))
            .inc();
    }
}

/// Events of a log from before it noted the time are left out.
fn since_appended<'a>(
    events: impl Iterator<Item = &'a Recorded>,
    now: Timestamp,
) -> impl Iterator<Item = Duration> {
    events.filter_map(move |event| event.recorded_at.map(|at| now.since(at.into())))
}

fn labels(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn by_cause(service: &str, cause: &str) -> Labels {
    vec![("service", service.to_owned()), ("cause", cause.to_owned())]
}

fn by_fault(consumer: &str, fault: &str) -> Labels {
    vec![
        ("consumer", consumer.to_owned()),
        ("fault", fault.to_owned()),
    ]
}

fn by_source(consumer: &str, source: Source) -> Labels {
    let source = match source {
        Source::Bus => "bus",
        Source::Log => "log",
    };
    vec![
        ("consumer", consumer.to_owned()),
        ("source", source.to_owned()),
    ]
}
