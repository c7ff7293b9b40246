//! From the tree of values to a [`Config`], section by section.

mod auth;
mod flag;
mod front;
mod route;
mod scalar;
mod upstream;

use std::net::SocketAddr;

use figment::Figment;

use super::{
    AccessLog, AdminToken, Config, Environment, Fault, Faults, Limits, Role,
    reader::{Node, Reader, Section},
    validate,
};
use scalar::{actor_name, admin_secret, cookie_key, list, log_url, named, one_of};

/// The development defaults.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;

/// With 64 KiB of a body kept for each, a gigabyte.
const MAX_IN_FLIGHT: u32 = 16 * 1024;
const ACCESS_LOG: &[(&str, AccessLog)] = &[("json", AccessLog::Json), ("off", AccessLog::Off)];
const ROLES: &[(&str, Role)] = &[("viewer", Role::Viewer), ("operator", Role::Operator)];

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
    let upstreams = named(&mut section, "upstreams", upstream::upstream);
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
        tls: section.node("tls").and_then(front::tls),
        limits: section
            .node("limits")
            .and_then(Node::section)
            .map_or_else(Limits::default, front::limits),
        trusted_proxies: list(&mut section, "trusted_proxies", |node| {
            node.parsed().map_err(|message| node.fault(message)).ok()
        }),
        max_in_flight: section
            .read("max_in_flight", Node::count)
            .unwrap_or(MAX_IN_FLIGHT),
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
