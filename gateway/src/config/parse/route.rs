//! `[[routes]]`.

mod compress;
mod headers;
mod pattern;

use std::time::Duration;

use super::{
    super::{EncodedSlash, Rate, RateKey, RateLimit, Rewrite, Route, RouteAuth, reader::Node},
    scalar::{duration, host, media_type, methods, nats_url, one_of, prefix},
};

const RATE_KEYS: &[(&str, RateKey)] = &[
    ("subject", RateKey::Subject),
    ("ip", RateKey::Ip),
    ("route", RateKey::Route),
];
/// More often than this nothing is counted that a clock could tell apart.
const MIN_INTERVAL: Duration = Duration::from_micros(1);
/// The longest that a limiter looks back: as with all durations, beyond a day it is likelier a typo.
const MAX_REFILL: Duration = Duration::from_secs(24 * 60 * 60);
/// WebSocket libraries ping every minute at most; after an hour of silence nobody is there, and only
/// this side does not know it.
const TUNNEL_IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
const ENCODED_SLASHES: &[(&str, EncodedSlash)] = &[
    ("reject", EncodedSlash::Reject),
    ("keep", EncodedSlash::Keep),
];

pub(super) fn route(node: Node<'_>) -> Option<Route> {
    let node = match node.peek("id") {
        Some(id) => node.clone().called(id),
        None => node,
    };
    let mut section = node.section()?;
    section.node("shadow");
    let id = section.required("id", Node::parsed);
    let pattern::Paths {
        pattern,
        form: path,
    } = pattern::paths(&mut section);
    let legacy = section.required("legacy", Node::parsed);
    let candidate = section.read("candidate", Node::parsed);
    let flag = section.read("flag", Node::parsed);
    let methods = section.node("methods").map(|node| methods(&node));
    let accept = section.read("accept", media_type);
    let host = section.read("host", host);
    let fallback = section.read("fallback", Node::boolean).unwrap_or(true);
    let rewrite = section.node("rewrite").and_then(rewrite);
    let auth = section.node("auth").and_then(route_auth);
    let public = section.read("public", Node::boolean).unwrap_or(false);
    let rate_limit = section.node("rate_limit").and_then(rate_limit);
    let encoded_slash = section
        .read("encoded_slash", |node| one_of(node, ENCODED_SLASHES))
        .unwrap_or(EncodedSlash::Reject);
    let case_insensitive = section
        .read("case_insensitive", Node::boolean)
        .unwrap_or(false);
    let method_override = section
        .read("method_override", Node::boolean)
        .unwrap_or(false);
    let request_headers = section.node("request_headers").and_then(headers::rules);
    let response_headers = section.node("response_headers").and_then(headers::rules);
    let cors = section
        .node("cors")
        .and_then(|node| headers::cors(node, methods.as_deref()));
    let compress = section.node("compress").and_then(compress::compress);
    let close_on_flip = section
        .read("close_on_flip", Node::boolean)
        .unwrap_or(false);
    let tunnel_idle_timeout = section
        .read("tunnel_idle_timeout", duration)
        .unwrap_or(TUNNEL_IDLE_TIMEOUT);
    let max_body = section.read("max_body", Node::count);
    let deadline = section.read("deadline", duration);
    let retry_keyed = section.read("retry_keyed", Node::boolean).unwrap_or(false);
    section.finish();
    Some(Route {
        id: id?,
        pattern: pattern?,
        host,
        methods,
        accept,
        legacy: legacy?,
        candidate,
        flag,
        fallback,
        rewrite,
        auth,
        public,
        rate_limit,
        path,
        encoded_slash,
        case_insensitive,
        method_override,
        request_headers,
        response_headers,
        cors,
        compress,
        close_on_flip,
        tunnel_idle_timeout,
        deadline,
        retry_keyed,
        max_body,
    })
}

fn rewrite(node: Node<'_>) -> Option<Rewrite> {
    let mut section = node.section()?;
    let strip_prefix = section.read("strip_prefix", prefix);
    let add_prefix = section.read("add_prefix", prefix);
    if strip_prefix.is_none() && add_prefix.is_none() {
        section.fault("", "changes nothing: name strip_prefix or add_prefix");
    }
    section.finish();
    Some(Rewrite {
        strip_prefix,
        add_prefix,
    })
}

fn route_auth(node: Node<'_>) -> Option<RouteAuth> {
    let mut section = node.section()?;
    let required = section.read("required", Node::boolean).unwrap_or(true);
    let roles = section
        .node("roles")
        .map(|node| node.texts())
        .unwrap_or_default();
    let scopes = section
        .node("scopes")
        .map(|node| node.texts())
        .unwrap_or_default();
    if !required && !roles.is_empty() {
        section.fault(
            "roles",
            "need required = true: nobody without a token has a role",
        );
    }
    if !required && !scopes.is_empty() {
        section.fault(
            "scopes",
            "need required = true: nobody without a token has a scope",
        );
    }
    if scopes
        .iter()
        .any(|scope| scope.is_empty() || scope.contains(' '))
    {
        section.fault("scopes", "are words: a space stands between two of them");
    }
    section.finish();
    Some(RouteAuth {
        required,
        roles,
        scopes,
    })
}

fn rate_limit(node: Node<'_>) -> Option<RateLimit> {
    let mut section = node.section()?;
    let per = section
        .read("per", |node| one_of(node, RATE_KEYS))
        .unwrap_or(RateKey::Subject);
    let rate: Option<Rate> = section.required("rate", Node::parsed);
    let burst = section.read("burst", Node::count);
    let shared = section.read("shared", nats_url);
    let limit = rate.map(|rate| RateLimit {
        per,
        rate,
        burst: burst.unwrap_or(rate.count),
        shared,
    });
    if let Some(limit) = &limit {
        if limit.interval() < MIN_INTERVAL {
            section.fault(
                "rate",
                "is more than a million in a second: no limit at all",
            );
        }
        if limit.interval().saturating_mul(limit.burst) > MAX_REFILL {
            section.fault("burst", "takes more than a day to come back at this rate");
        }
    }
    section.finish();
    limit
}
