//! From the tree of values to a [`Config`], section by section.

mod auth;
mod flag;
mod route;
mod scalar;

use std::{net::SocketAddr, time::Duration};

use figment::Figment;

use super::{
    AccessLog, AdminToken, Breaker, Config, Environment, Fault, Faults, Health, Protocol, Retry,
    Role, Upstream,
    reader::{Node, Reader, Section},
    validate,
};
use scalar::{
    absolute_path, actor_name, admin_secret, cookie_key, duration, list, log_url, named, one_of,
    up_to,
};

/// The development defaults.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;
/// Connecting within a network takes milliseconds; a second covers a lost SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// What users wait for at most, by the documented sample.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Server-sent events send a comment twice a minute at least.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

const ACCESS_LOG: &[(&str, AccessLog)] = &[("json", AccessLog::Json), ("off", AccessLog::Off)];
const ROLES: &[(&str, Role)] = &[("viewer", Role::Viewer), ("operator", Role::Operator)];
const PROTOCOLS: &[(&str, Protocol)] = &[
    ("http1", Protocol::Http1),
    ("h2c", Protocol::H2c),
    ("https", Protocol::Https),
    ("auto", Protocol::Auto),
];

pub(super) fn config(figment: &Figment, environment: Environment) -> Result<Config, Faults> {
    let value = figment.find_value("").map_err(syntax_faults)?;
    let reader = Reader::new(figment);
    let config = reader.root(&value).section().and_then(root);
    if let Some(config) = &config {
        validate::config(config, &reader, environment);
    }
    let faults = reader.into_faults();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(Faults(faults)),
    }
}

fn syntax_faults(error: figment::Error) -> Faults {
    let fault = |error: figment::Error| {
        let text = error.kind.to_string();
        Fault {
            key: error.path.join("."),
            message: text.trim_end().to_owned(),
        }
    };
    Faults(error.into_iter().map(fault).collect())
}

/// A fault does not end the reading: what is missing gets a stand-in, so that every later fault
/// is found too. The stand-ins never leave this module, since a fault was noted with each.
fn root(mut section: Section<'_>) -> Option<Config> {
    section.node("tls");
    let upstreams = named(&mut section, "upstreams", upstream);
    let flags = named(&mut section, "flags", flag::settings);
    if upstreams.is_empty() {
        section.fault("upstreams", "at least one is needed");
    }
    let routes = match section.node("routes") {
        Some(routes) => routes
            .items()
            .into_iter()
            .filter_map(route::route)
            .collect(),
        None => Vec::new(),
    };
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let config = Config {
        listen: section
            .read("listen", Node::parsed)
            .unwrap_or(loopback(PORT)),
        admin_listen: section
            .read("admin_listen", Node::parsed)
            .unwrap_or(loopback(ADMIN_PORT)),
        admin_tokens: list(&mut section, "admin_tokens", admin_token),
        log: section.read("log", log_url),
        state_file: section.read("state_file", Node::text).map(Into::into),
        cookie_key: section.read("cookie_key", cookie_key),
        trusted_proxies: list(&mut section, "trusted_proxies", |node| {
            node.parsed().map_err(|message| node.fault(message)).ok()
        }),
        access_log: section
            .read("access_log", |node| one_of(node, ACCESS_LOG))
            .unwrap_or(AccessLog::Json),
        route_headers: section.read("route_headers", Node::boolean).unwrap_or(true),
        upstreams,
        flags,
        routes,
        auth: section.node("auth").and_then(auth::auth),
    };
    section.finish();
    Some(config)
}

fn admin_token(node: Node<'_>) -> Option<AdminToken> {
    let mut section = node.section()?;
    let name = section.required("name", actor_name);
    let token = section.required("token", admin_secret);
    let role = section
        .read("role", |node| one_of(node, ROLES))
        .unwrap_or(Role::Operator);
    section.finish();
    Some(AdminToken {
        name: name?,
        token: token?,
        role,
    })
}

fn upstream(node: Node<'_>) -> Option<Upstream> {
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
        protocol: section
            .read("protocol", |node| one_of(node, PROTOCOLS))
            .unwrap_or(Protocol::Http1),
        health: section.node("health").and_then(health),
        breaker: section.node("breaker").and_then(breaker),
        retry: section.node("retry").and_then(retry),
    };
    section.finish();
    Some(upstream)
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
    };
    section.finish();
    Some(breaker)
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
