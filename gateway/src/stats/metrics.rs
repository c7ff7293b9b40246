//! The counters as Prometheus metrics, read at each scrape.

use std::collections::BTreeMap;
use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::{RouteSnapshot, SideSnapshot, Stats};
use crate::id::RouteId;

impl Collector for Stats {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let routes = self.snapshot();
        encode_requests(&mut encoder, &routes)?;
        let events: [(&str, &str, Value); 3] = [
            (
                "banyan_gateway_upstream_failures",
                "Attempts that failed: connect, reset, timeout or an uncoded 5xx",
                |side| side.failures,
            ),
            (
                "banyan_gateway_retries",
                "Attempts beyond a request's first on the same side",
                |side| side.retries,
            ),
            (
                "banyan_gateway_fallbacks",
                "Requests chosen for this side that the other side answered",
                |side| side.fallbacks,
            ),
        ];
        for (name, help, value) in events {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (route, side, snapshot) in sides(&routes) {
                let labels = [("route", route), ("side", side)];
                ConstCounter::new(value(snapshot)).encode(family.encode_family(&labels)?)?;
            }
        }
        encode_refusals(&mut encoder, &routes)?;
        encode_counts(&mut encoder, &routes)?;
        encode_latencies(&mut encoder, &routes)?;
        self.sessions().encode(&mut encoder)?;
        self.clients().encode(&mut encoder)?;
        self.load().encode(&mut encoder)?;
        let unmatched = encoder.encode_descriptor(
            "banyan_gateway_unmatched_requests",
            "Requests that no route takes",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.unmatched()).encode(unmatched)
    }
}

type Routes = BTreeMap<RouteId, RouteSnapshot>;
type Value = fn(&SideSnapshot) -> u64;
type Count = fn(&RouteSnapshot) -> u64;

fn sides(routes: &Routes) -> impl Iterator<Item = (&str, &'static str, &SideSnapshot)> {
    routes.iter().flat_map(|(id, route)| {
        [
            (id.as_str(), "legacy", &route.legacy),
            (id.as_str(), "candidate", &route.candidate),
        ]
    })
}

fn encode_requests(encoder: &mut DescriptorEncoder<'_>, routes: &Routes) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_requests",
        "Answers that clients got, by route, side and class of status",
        None,
        MetricType::Counter,
    )?;
    for (route, side, snapshot) in sides(routes) {
        for (class, count) in &snapshot.by_class {
            let labels = [("route", route), ("side", side), ("class", *class)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_refusals(encoder: &mut DescriptorEncoder<'_>, routes: &Routes) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_refusals",
        "Requests that the gateway answered itself before choosing a side",
        None,
        MetricType::Counter,
    )?;
    for (id, route) in routes {
        for (reason, count) in [
            ("unauthenticated", route.unauthenticated),
            ("forbidden", route.forbidden),
            ("rate_limited", route.limited),
            ("preflight", route.preflights),
            ("other", route.refused),
        ] {
            let labels = [("route", id.as_str()), ("reason", reason)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// What happens to a route's requests on neither side.
fn encode_counts(encoder: &mut DescriptorEncoder<'_>, routes: &Routes) -> Result<(), Error> {
    let counts: [(&str, &str, Count); 2] = [
        (
            "banyan_gateway_limits_counted_alone",
            "Requests that this gateway counted alone, the shared counts of the limit being away",
            |route| route.counted_alone,
        ),
        (
            "banyan_gateway_compression_left_plain",
            "Answers that went out as they were, since as many as may be were being compressed",
            |route| route.left_plain,
        ),
    ];
    for (name, help, value) in counts {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (id, route) in routes {
            let labels = [("route", id.as_str())];
            ConstCounter::new(value(route)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_latencies(encoder: &mut DescriptorEncoder<'_>, routes: &Routes) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(
        "banyan_gateway_response_seconds",
        "Time to the response's head",
        None,
        MetricType::Histogram,
    )?;
    for (route, side, snapshot) in sides(routes) {
        let latency = &snapshot.latency;
        let labels = [("route", route), ("side", side)];

        family
            .encode_family(&labels)?
            .encode_histogram::<[(&str, &str); 0]>(
                latency.sum_seconds(),
                latency.count,
                &latency.exposed(),
                None,
            )?;
    }
    Ok(())
}
