//! The world over NATS: each service by a connection of its own, and what is seen of the bus.

use std::{collections::HashMap, sync::Arc};

use bus::Bus;
use event_store::publisher::PublisherState;
use service::Shared;
use testkit::eventually;

use super::{PARTS, PATIENCE, Part, World};

/// Copies of the stream: one on each server of a cluster.
const REPLICAS: usize = 3;

/// The publisher's connection, as the log's process has it.
pub(super) async fn publishes_to(url: &str) -> Arc<dyn Bus> {
    bus::connect(url, REPLICAS).await.expect("a usable address")
}

/// The log and the bus of each service, connected to as its own process does; none without a broker.
pub(super) async fn apart(log: &str, nats: Option<&str>) -> HashMap<Part, Shared> {
    let mut apart = HashMap::new();
    for part in PARTS.into_iter().filter(|_| nats.is_some()) {
        let shared = Shared::connect(log, nats, Some(testkit::PERSONAL_KEYS)).await;
        apart.insert(part, shared.expect("a log and a bus"));
    }
    apart
}

impl World {
    /// Waits until the publisher is as wanted.
    pub(crate) async fn publisher_is(&self, wanted: impl FnMut(&PublisherState) -> bool) {
        let mut state = self.publishing.clone();
        let reached = tokio::time::timeout(PATIENCE, state.wait_for(wanted)).await;
        reached
            .unwrap_or_else(|_| panic!("it is {:?}", self.publishing.borrow()))
            .expect("the publisher runs");
    }

    /// Waits until every service hears events from the bus itself.
    pub(crate) async fn hears_the_bus(&self) {
        for part in PARTS {
            let heard = async || {
                let series = "consumer_received_events_total";
                self.counted(part, series, "source=\"bus\"").await > 0.0
            };
            eventually(PATIENCE, heard).await;
        }
    }

    /// How often the service's consumers read the log because the bus was silent.
    pub(crate) async fn silences(&self, part: Part) -> f64 {
        self.counted(part, "consumer_silences_total", "").await
    }

    /// The sum of a service's series of this name that have this in their labels.
    async fn counted(&self, part: Part, series: &str, label: &str) -> f64 {
        let answer = self.client.get(self.url(part, "/metrics")).send().await;
        let text = answer.expect("an answer").text().await.expect("a text");
        let lines = text.lines();
        let values = lines.filter(|line| line.starts_with(series) && line.contains(label));
        let values = values.map(|line| {
            let value = line.rsplit(' ').next().expect("a value");
            value.parse::<f64>().expect("a number")
        });
        values.sum()
    }
}
