//! What the publisher does, read at each scrape: one that hangs reports nothing by itself.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use tokio::sync::watch;

use super::PublisherState;

#[derive(Debug)]
pub(super) struct Shown {
    pub(super) head: watch::Receiver<i64>,
    pub(super) state: watch::Receiver<PublisherState>,
    pub(super) position: Arc<AtomicI64>,
}

impl PublisherState {
    const NAMES: [&'static str; 5] = ["stopped", "standby", "forwarding", "failing", "refused"];

    const fn name(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Standby => "standby",
            Self::Forwarding(_) => "forwarding",
            Self::Failing(_) => "failing",
            Self::Refused(_) => "refused",
        }
    }
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.state.borrow().name();
        let mut states = encoder.encode_descriptor(
            "publisher_state",
            "1 for what the publisher does now",
            None,
            MetricType::Gauge,
        )?;
        for state in PublisherState::NAMES {
            let labels = [("state", state)];
            ConstGauge::new(i64::from(state == now)).encode(states.encode_family(&labels)?)?;
        }
        let position = self.position.load(Ordering::Relaxed);
        if position < 0 {
            return Ok(());
        }
        let lag = encoder.encode_descriptor(
            "publisher_lag",
            "Positions that the bus does not have yet; shown by the process that publishes",
            None,
            MetricType::Gauge,
        )?;
        let head = *self.head.borrow();
        ConstGauge::new((head - position).max(0)).encode(lag)
    }
}
