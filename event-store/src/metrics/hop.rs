use std::time::Duration;

use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{Labels, Seconds};

/// From a wake-up within one process to an outage that somebody notices.
const SECONDS: [f64; 16] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0,
];

/// A stretch of an event's way. Each is measured by one clock, but the last, whose ends may lie on
/// two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// From the owner's transaction until its relay knows that the log has it; the owner's clock.
    WrittenToAppended,
    /// From the log's own time of it until the bus has confirmed it; the log's clock.
    AppendedToPublished,
    /// Until a consumer has it, from the bus or the log; the log's clock.
    AppendedToReceived,
    /// Until the consumer's effects are committed; the log's clock.
    AppendedToHandled,
    /// The whole way, from the owner's clock to the log's.
    WrittenToHandled,
}

impl Hop {
    const fn name(self) -> &'static str {
        match self {
            Self::WrittenToAppended => "written_to_appended",
            Self::AppendedToPublished => "appended_to_published",
            Self::AppendedToReceived => "appended_to_received",
            Self::AppendedToHandled => "appended_to_handled",
            Self::WrittenToHandled => "written_to_handled",
        }
    }
}

/// How long events take.
#[derive(Clone, Debug)]
pub(super) struct Hops(Seconds);

impl Default for Hops {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(SECONDS)))
    }
}

impl Hops {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "event_hop_seconds",
            "How long events take, by stretch of their way and by consumer where one is at its end",
            self.0.clone(),
        );
    }

    pub(super) fn begin(&self, hop: Hop, consumer: Option<&str>) {
        self.0.get_or_create_owned(&labels(hop, consumer));
    }

    pub(super) fn took(
        &self,
        hop: Hop,
        consumer: Option<&str>,
        times: impl Iterator<Item = Duration>,
    ) {
        let histogram = self.0.get_or_create_owned(&labels(hop, consumer));
        for time in times {
            histogram.observe(time.as_secs_f64());
        }
    }
}

fn labels(hop: Hop, consumer: Option<&str>) -> Labels {
    let mut labels = vec![("hop", hop.name().to_owned())];
    labels.extend(consumer.map(|consumer| ("consumer", consumer.to_owned())));
    labels
}
