//! The flags' and the configuration's states as metrics, read at each scrape.

use std::{fmt, sync::Arc};

use chassis::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
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
        encode_routes(&mut encoder, &self.0)?;
        encode_reloads(&mut encoder, &self.0)?;
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

/// Which flag moves which route, for queries that put the two together.
fn encode_routes(encoder: &mut DescriptorEncoder<'_>, control: &Control) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_route_info",
        "1; the labels name the route's flag and sides",
        None,
        MetricType::Gauge,
    )?;
    for route in control.table().routes() {
        let flag = route.config.flag.as_ref();
        let labels = [
            ("route", route.id.as_str()),
            ("flag", flag.map_or("", |flag| flag.as_str())),
            ("legacy", route.legacy.as_str()),
            (
                "candidate",
                route.candidate.as_ref().map_or("", |id| id.as_str()),
            ),
        ];
        ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_reloads(
    encoder: &mut DescriptorEncoder<'_>,
    control: &Control,
) -> Result<(), fmt::Error> {
    let reloads = control.reloads();
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_config_reloads",
        "Edits of the configuration file, by what became of them",
        None,
        MetricType::Counter,
    )?;
    for (result, count) in [("applied", reloads.applied), ("refused", reloads.refused)] {
        ConstCounter::new(count).encode(family.encode_family(&[("result", result)])?)?;
    }
    let fault = encoder.encode_descriptor(
        "banyan_gateway_config_fault",
        "1 while the configuration file is faulty and an earlier one is in force",
        None,
        MetricType::Gauge,
    )?;
    ConstGauge::new(i64::from(control.fault().is_some())).encode(fault)?;
    let applied = encoder.encode_descriptor(
        "banyan_gateway_config_applied_timestamp_seconds",
        "Since when the configuration is in force, in seconds since 1970",
        None,
        MetricType::Gauge,
    )?;
    ConstGauge::new(reloads.applied_at).encode(applied)
}
