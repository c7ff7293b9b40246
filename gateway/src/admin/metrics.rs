//! The flags' states as metrics, read at each scrape.

use std::{fmt, sync::Arc};

use chassis::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::{control::Control, flag::FlagState};

pub(super) fn register(metrics: &Metrics, control: &Arc<Control>) {
    let flags = FlagMetrics(Arc::clone(control));
    metrics.register(|registry| registry.register_collector(Box::new(flags)));
}

/// Reads one value of a flag.
type Value = fn(&FlagState) -> f64;

#[derive(Debug)]
struct FlagMetrics(Arc<Control>);

impl Collector for FlagMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let states = self.0.flags().states();
        let families: [(&str, &str, Value); 3] = [
            (
                "banyan_gateway_flag_percent",
                "Where the flag stands, 0 to 100",
                |state| state.settings.percent.as_number(),
            ),
            (
                "banyan_gateway_flag_killed",
                "1 while the flag is rolled back",
                |state| f64::from(u8::from(state.killed)),
            ),
            (
                "banyan_gateway_flag_version",
                "How often the flag was changed",
                |state| f64::from(u32::try_from(state.version).unwrap_or(u32::MAX)),
            ),
        ];
        for (name, help, value) in families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for state in &states {
                let labels = [("flag", state.id.as_str())];
                ConstGauge::new(value(state)).encode(family.encode_family(&labels)?)?;
            }
        }
        let degraded = self.0.flags().degraded().len() + usize::from(self.0.fault().is_some());
        let degraded = u32::try_from(degraded).unwrap_or(u32::MAX);
        let encoder = encoder.encode_descriptor(
            "banyan_gateway_degraded",
            "How many things are wrong without hindering the service (log, state file, config file)",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(f64::from(degraded)).encode(encoder)
    }
}
