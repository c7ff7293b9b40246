//! `[upstreams.NAME]`.

use std::{net::IpAddr, time::Duration};

use super::super::{
    Breaker, ClientCertificate, Endpoint, Fallback, HeaderCase, Health, Protocol, Queue, Retry,
    Scheme, Upstream, UpstreamTls,
    reader::{Node, Section},
};
use super::scalar::{absolute_path, duration, one_of, up_to};
use crate::upstream::is_server_name;

/// Connecting within a network takes milliseconds; a second covers a lost SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// What users wait for at most, by the documented sample.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Server-sent events send a comment twice a minute at least.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Half of the bulkhead is always left to the upstream's own traffic; over time it takes over what it
/// served before anything was moved.
const FALLBACK: Fallback = Fallback {
    share_percent: 50,
    budget_percent: 100,
};
/// Longer queues only hide that there is too much to do.
const MAX_QUEUE: u32 = 10_000;

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("http1", Protocol::Http1),
    ("h2c", Protocol::H2c),
    ("https", Protocol::Https),
    ("auto", Protocol::Auto),
];

const HEADER_CASES: &[(&str, HeaderCase)] =
    &[("lower", HeaderCase::Lower), ("keep", HeaderCase::Keep)];

pub(super) fn upstream(node: Node<'_>) -> Option<Upstream> {
    let mut section = node.section()?;
    let mut endpoints = Vec::new();
    if !section.has("endpoints") {
        section.fault("endpoints", "is missing");
    }
    if let Some(node) = section.node("endpoints") {
        let items = node.items();
        if items.is_empty() {
            node.fault("at least one is needed");
        }
        for item in items {
            match item.parsed() {
                Ok(endpoint) if endpoints.contains(&endpoint) => item.fault("stands here twice"),
                Ok(endpoint) => endpoints.push(endpoint),
                Err(message) => item.fault(message),
            }
        }
    }
    let protocol = section
        .read("protocol", |node| one_of(node, PROTOCOLS))
        .unwrap_or(Protocol::Http1);
    let tls = tls(&mut section, protocol, &endpoints);
    let header_case = section
        .read("header_case", |node| one_of(node, HEADER_CASES))
        .unwrap_or(HeaderCase::Lower);
    if header_case == HeaderCase::Keep && protocol == Protocol::H2c {
        section.fault(
            "header_case",
            "is for HTTP/1: on HTTP/2 all names are in lower case",
        );
    }
    let early_hints = section.read("early_hints", Node::boolean).unwrap_or(false);
    if early_hints && protocol == Protocol::H2c {
        section.fault("early_hints", "pass from HTTP/1.1 only");
    }
    if section.has("queue") && !section.has("max_in_flight") {
        section.fault("queue", "needs max_in_flight: without it nobody ever waits");
    }
    let is_name = |endpoint: &Endpoint| endpoint.host.parse::<IpAddr>().is_err();
    if section.has("resolve") && !endpoints.is_empty() && !endpoints.iter().any(is_name) {
        section.fault("resolve", "is for endpoints with names, and there is none");
    }
    let upstream = Upstream {
        endpoints,
        connect_timeout: section
            .read("connect_timeout", duration)
            .unwrap_or(CONNECT_TIMEOUT),
        timeout: section.read("timeout", duration).unwrap_or(TIMEOUT),
        idle_timeout: section
            .read("idle_timeout", duration)
            .unwrap_or(IDLE_TIMEOUT),
        max_in_flight: section.read("max_in_flight", Node::count),
        queue: section.node("queue").and_then(queue),
        resolve: section.read("resolve", duration),
        slow_start: section.read("slow_start", duration),
        protocol,
        header_case,
        early_hints,
        tls,
        health: section.node("health").and_then(health),
        breaker: section.node("breaker").and_then(breaker),
        retry: section.node("retry").and_then(retry),
        fallback: section
            .node("fallback")
            .and_then(fallback)
            .unwrap_or(FALLBACK),
    };
    section.finish();
    Some(upstream)
}

fn fallback(node: Node<'_>) -> Option<Fallback> {
    let mut section = node.section()?;
    let percent = |node: &Node<'_>| up_to(node, 100);
    let fallback = Fallback {
        share_percent: section
            .read("share_percent", percent)
            .unwrap_or(FALLBACK.share_percent),
        budget_percent: section
            .read("budget_percent", percent)
            .unwrap_or(FALLBACK.budget_percent),
    };
    section.finish();
    Some(fallback)
}

fn health(node: Node<'_>) -> Option<Health> {
    let mut section = node.section()?;
    let path = section.required("path", absolute_path);
    let interval = section
        .read("interval", duration)
        .unwrap_or(Duration::from_secs(2));
    section.finish();
    Some(Health {
        path: path?,
        interval,
    })
}

fn breaker(node: Node<'_>) -> Option<Breaker> {
    let mut section = node.section()?;
    let breaker = Breaker {
        failures: section.read("failures", Node::count).unwrap_or(5),
        window: section
            .read("window", duration)
            .unwrap_or(Duration::from_secs(10)),
        open_for: section
            .read("open_for", duration)
            .unwrap_or(Duration::from_secs(5)),
        max_open_percent: section
            .read("max_open_percent", |node| up_to(node, 100))
            .unwrap_or(100),
    };
    section.finish();
    Some(breaker)
}

fn queue(node: Node<'_>) -> Option<Queue> {
    let mut section = node.section()?;
    // Who waits holds a connection and what was read of a body.
    let size = section.required("size", |node| up_to(node, MAX_QUEUE));
    let wait = section
        .read("wait", duration)
        .unwrap_or(Duration::from_millis(500));
    section.finish();
    Some(Queue { size: size?, wait })
}

fn retry(node: Node<'_>) -> Option<Retry> {
    let mut section = node.section()?;
    let attempts = section.read("attempts", |node| up_to(node, 5)).unwrap_or(2);
    let budget_percent = section
        .read("budget_percent", |node| up_to(node, 100))
        .unwrap_or(20);
    section.finish();
    Some(Retry {
        attempts,
        budget_percent,
    })
}

/// What the endpoints' schemes, the protocol and the certificates say together.
fn tls(section: &mut Section<'_>, protocol: Protocol, endpoints: &[Endpoint]) -> UpstreamTls {
    for endpoint in endpoints {
        match (protocol, endpoint.scheme) {
            (Protocol::H2c, Scheme::Https) => section.fault(
                "protocol",
                format!("h2c is clear text, and {endpoint} is not; say https or auto"),
            ),
            (Protocol::Https, Scheme::Http) => section.fault(
                "protocol",
                format!("https needs TLS, and {endpoint} is clear text; say https:// there"),
            ),
            _ => {}
        }
    }
    for endpoint in endpoints {
        if endpoint.scheme == Scheme::Https && !is_server_name(&endpoint.host) {
            let host = &endpoint.host;
            section.fault(
                "endpoints",
                format!("`{host}` is no name for a certificate"),
            );
        }
    }
    let has_tls = endpoints
        .iter()
        .any(|endpoint| endpoint.scheme == Scheme::Https);
    for key in ["ca", "client_cert", "client_key"] {
        if section.has(key) && !has_tls && !endpoints.is_empty() {
            section.fault(key, "is for https:// endpoints, and there is none");
        }
    }
    for (one, other) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        if section.has(one) && !section.has(other) {
            section.fault(other, format!("is missing beside {one}"));
        }
    }
    let ca = section.read("ca", Node::text).map(Into::into);
    let certificate = section.read("client_cert", Node::text);
    let key = section.read("client_key", Node::text);
    let client = certificate
        .zip(key)
        .map(|(certificate, key)| ClientCertificate {
            certificate: certificate.into(),
            key: key.into(),
        });
    UpstreamTls { ca, client }
}
