//! The upstreams as Prometheus metrics, read at each scrape. Labels are what the configuration
//! names.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::breaker::Phase;
use super::{EndpointSnapshot, UpstreamSnapshot, Upstreams};

impl Collector for Upstreams {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let upstreams = self.snapshot();
        encode_upstreams(&mut encoder, &upstreams)?;
        encode_endpoints(&mut encoder, &upstreams)?;
        encode_breakers(&mut encoder, &upstreams)
    }
}

/// Reads one value of an endpoint.
type Value = fn(&EndpointSnapshot) -> u64;

fn encode_upstreams(
    encoder: &mut DescriptorEncoder<'_>,
    upstreams: &[UpstreamSnapshot],
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_upstream_in_flight",
        "Requests under way, those that wait for a connection included",
        None,
        MetricType::Gauge,
    )?;
    for upstream in upstreams {
        let labels = [("upstream", upstream.id.as_str())];
        ConstGauge::new(upstream.in_flight as f64).encode(family.encode_family(&labels)?)?;
    }
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_upstream_waiting",
        "Requests that wait for a place in the bulkhead",
        None,
        MetricType::Gauge,
    )?;
    for upstream in upstreams {
        let labels = [("upstream", upstream.id.as_str())];
        ConstGauge::new(upstream.waiting as f64).encode(family.encode_family(&labels)?)?;
    }
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_upstream_max_in_flight",
        "The bulkhead's size, where there is one",
        None,
        MetricType::Gauge,
    )?;
    for upstream in upstreams {
        let labels = [("upstream", upstream.id.as_str())];
        if let Some(most) = upstream.max_in_flight {
            ConstGauge::new(i64::from(most)).encode(family.encode_family(&labels)?)?;
        }
    }
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_upstream_refusals",
        "Attempts that the gateway did not make: the bulkhead was full, all circuits open, all \
         checks failing, a budget empty, or what is left of the bulkhead kept for own traffic",
        None,
        MetricType::Counter,
    )?;
    for upstream in upstreams {
        let refused = &upstream.refused;
        for (reason, count) in [
            ("full", refused.full),
            ("open", refused.open),
            ("unhealthy", refused.unhealthy),
            ("retry_budget", refused.retry_budget),
            ("fallback_share", refused.fallback_share),
            ("fallback_budget", refused.fallback_budget),
        ] {
            let labels = [("upstream", upstream.id.as_str()), ("reason", reason)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_endpoints(
    encoder: &mut DescriptorEncoder<'_>,
    upstreams: &[UpstreamSnapshot],
) -> Result<(), Error> {
    let families: [(&str, &str, Value); 3] = [
        (
            "banyan_gateway_endpoint_healthy",
            "1 while the active check passes, or where there is none",
            |endpoint| u64::from(endpoint.healthy),
        ),
        (
            "banyan_gateway_endpoint_in_flight",
            "Requests under way",
            |endpoint| endpoint.in_flight as u64,
        ),
        (
            "banyan_gateway_endpoint_idle_connections",
            "Connections that wait for a request",
            |endpoint| endpoint.idle_connections as u64,
        ),
    ];
    for (name, help, value) in families {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (upstream, endpoint) in endpoints(upstreams) {
            let labels = [("upstream", upstream), ("endpoint", &endpoint.address)];
            ConstGauge::new(value(endpoint) as f64).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_breakers(
    encoder: &mut DescriptorEncoder<'_>,
    upstreams: &[UpstreamSnapshot],
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_breaker_state",
        "1 for the circuit's phase now",
        None,
        MetricType::Gauge,
    )?;
    for (upstream, endpoint) in endpoints(upstreams) {
        let Some(now) = endpoint.breaker else {
            continue;
        };
        for (phase, state) in [
            (Phase::Closed, "closed"),
            (Phase::Open, "open"),
            (Phase::HalfOpen, "half_open"),
        ] {
            let labels = [
                ("upstream", upstream),
                ("endpoint", endpoint.address.as_str()),
                ("state", state),
            ];
            ConstGauge::new(i64::from(phase == now)).encode(family.encode_family(&labels)?)?;
        }
    }
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_breaker_opened",
        "Times that the circuit opened: it may be open for less than the time between two scrapes",
        None,
        MetricType::Counter,
    )?;
    for (upstream, endpoint) in endpoints(upstreams) {
        if endpoint.breaker.is_some() {
            let labels = [("upstream", upstream), ("endpoint", &endpoint.address)];
            ConstCounter::new(endpoint.breaker_opened).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn endpoints(upstreams: &[UpstreamSnapshot]) -> impl Iterator<Item = (&str, &EndpointSnapshot)> {
    upstreams.iter().flat_map(|upstream| {
        let id = upstream.id.as_str();
        upstream
            .endpoints
            .iter()
            .map(move |endpoint| (id, endpoint))
    })
}
