//! How this part's connection to the bus is, read at each scrape.

use std::{fmt, sync::Arc};

use bus::{Bus, BusStatus};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Reads one value of a status.
type Value = fn(&BusStatus) -> u64;

/// Shows one connection to a bus.
pub struct BusMetrics(Arc<dyn Bus>);

impl fmt::Debug for BusMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BusMetrics").field(&self.0.name()).finish()
    }
}

impl BusMetrics {
    /// Of this bus.
    pub fn of(bus: Arc<dyn Bus>) -> Self {
        Self(bus)
    }
}

impl Collector for BusMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.0.status();
        let labels = [("bus", self.0.name())];
        let mut family = encoder.encode_descriptor(
            "bus_connected",
            "1 while the bus can be reached",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(i64::from(status.connected)).encode(family.encode_family(&labels)?)?;
        let counters: [(&str, &str, Value); 6] = [
            (
                "bus_connects",
                "Connections made, the first included",
                |status| status.connects,
            ),
            (
                "bus_sent_messages",
                "Messages sent; on NATS with the requests of its protocol",
                |status| status.sent_messages,
            ),
            (
                "bus_sent_bytes",
                "Their bytes; 0 on the bus within a process, which hands over references",
                |status| status.sent_bytes,
            ),
            (
                "bus_received_messages",
                "Messages received; on NATS with the confirmations of what was published",
                |status| status.received_messages,
            ),
            ("bus_received_bytes", "Their bytes", |status| {
                status.received_bytes
            }),
            (
                "bus_slow_consumer",
                "Times that a subscription's buffer was full and messages were dropped",
                |status| status.overruns,
            ),
        ];
        for (name, help, value) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value(&status)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
