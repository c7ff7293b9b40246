//! What only shows when the sections are seen together.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    fmt::Display,
};

use super::{Config, Environment, Pattern, Route, reader::Reader, upstream_tls};
use crate::{certificate, flag::SubjectSource, id::FlagId};

pub(super) fn config(config: &Config, reader: &Reader<'_>, environment: Environment) {
    admin(config, reader, environment);
    auth(config, reader);
    if environment == Environment::Applied {
        certificate(config, reader);
    }
    if environment != Environment::Elsewhere {
        upstream_tls::read_files(config, reader);
    }
    routes(config, reader);
    // A faulty route is left out of `config.routes`; what is missing then is not the user's fault.
    if !reader.has_fault_under("routes") {
        if config.routes.is_empty() {
            reader.fault("routes", "at least one is needed");
        }
        used_flags(config, reader);
    }
}

/// By host and pattern, since ten thousand routes cannot each be compared with all the others.
fn routes(config: &Config, reader: &Reader<'_>) {
    let mut ids = BTreeSet::new();
    let mut places: BTreeMap<(Option<&str>, String), Vec<&Route>> = BTreeMap::new();
    for route in &config.routes {
        references(config, route, reader);
        let shape = route.pattern.shape().to_ascii_lowercase();
        let place = places.entry((route.host.as_deref(), shape)).or_default();
        if !ids.insert(&route.id) {
            reader.fault(&format!("routes.{}", route.id), "stands here twice");
        } else if let Some(twin) = place.iter().find(|it| collides(it, route)) {
            let key = match route.pattern {
                Pattern::Prefix(_) => "prefix",
                Pattern::Template(_) => "path",
            };
            let message = format!("has the host, paths and a method of routes.{}", twin.id);
            reader.fault(&format!("routes.{}.{key}", route.id), message);
        }
        place.push(route);
    }
}

fn admin(config: &Config, reader: &Reader<'_>, environment: Environment) {
    if config.listen == config.admin_listen && config.listen.port() != 0 {
        reader.fault("admin_listen", "is the same as listen");
    }
    let may_have_tokens = !config.admin_tokens.is_empty() || environment == Environment::Elsewhere;
    if !may_have_tokens && !config.admin_listen.ip().is_loopback() {
        let message = "admin_tokens are required when the admin API listens off loopback";
        reader.fault("admin_tokens", message);
    }
    let mut names = BTreeSet::new();
    for (index, token) in config.admin_tokens.iter().enumerate() {
        let key = format!("admin_tokens[{index}]");
        if !names.insert(&token.name) {
            reader.fault(
                &format!("{key}.name"),
                format!("`{}` stands here twice", token.name),
            );
        }
        if config.admin_tokens[..index]
            .iter()
            .any(|earlier| earlier.token == token.token)
        {
            reader.fault(&format!("{key}.token"), "is another one's token too");
        }
    }
}

/// The files are this machine's: where the gateway runs elsewhere, nothing can be said of them.
fn certificate(config: &Config, reader: &Reader<'_>) {
    if let Some(Err(error)) = config.tls.as_ref().map(certificate::check) {
        reader.fault(&format!("tls.{}", error.setting), error.to_string());
    }
}

fn auth(config: &Config, reader: &Reader<'_>) {
    let Some(auth) = &config.auth else {
        for route in config.routes.iter().filter(|route| route.auth.is_some()) {
            reader.fault(
                &format!("routes.{}.auth", route.id),
                "needs [auth] with an issuer or a forward",
            );
        }
        for (id, _) in config.flags.iter().filter(|(_, flag)| {
            flag.subject
                .iter()
                .any(|source| matches!(source, SubjectSource::Jwt(_)))
        }) {
            let message = "reads a token's claim and needs [auth] with an issuer or a forward";
            reader.fault(&format!("flags.{id}.subject"), message);
        }
        return;
    };
    // As with routes: one that is faulty is left out, and is there all the same.
    let is_nobody = auth.issuers.is_empty() && auth.forward.is_none();
    if is_nobody
        && !reader.has_fault_under("auth.issuers")
        && !reader.has_fault_under("auth.forward")
    {
        reader.fault("auth.issuers", "at least one is needed, or auth.forward");
    }
    for (index, issuer) in auth.issuers.iter().enumerate() {
        if auth.issuers[..index]
            .iter()
            .any(|earlier| earlier.issuer == issuer.issuer)
        {
            reader.fault(
                &format!("auth.issuers[{index}].issuer"),
                "stands here twice",
            );
        }
    }
}

fn references(config: &Config, route: &Route, reader: &Reader<'_>) {
    let key = |name: &str| format!("routes.{}.{name}", route.id);
    let upstreams = || declared(config.upstreams.keys());
    if !config.upstreams.contains_key(&route.legacy) {
        let message = format!("no upstream `{}`; declared: {}", route.legacy, upstreams());
        reader.fault(&key("legacy"), message);
    }
    if let Some(candidate) = &route.candidate {
        if !config.upstreams.contains_key(candidate) {
            let message = format!("no upstream `{candidate}`; declared: {}", upstreams());
            reader.fault(&key("candidate"), message);
        }
        if *candidate == route.legacy {
            reader.fault(&key("candidate"), "is the legacy upstream itself");
        }
        if route.flag.is_none() {
            reader.fault(
                &key("flag"),
                "is missing: who decides who goes to the candidate?",
            );
        }
    }
    if let Some(flag) = &route.flag {
        if !config.flags.contains_key(flag) {
            let message = format!(
                "no flag `{flag}`; declared: {}",
                declared(config.flags.keys())
            );
            reader.fault(&key("flag"), message);
        }
        if route.candidate.is_none() {
            reader.fault(
                &key("candidate"),
                "is missing: the flag has nothing to decide",
            );
        }
    }
    if route.close_on_flip && route.flag.is_none() {
        reader.fault(&key("close_on_flip"), "needs a flag: nothing flips here");
    }
    if route.public && route.auth.is_some() {
        reader.fault(&key("public"), "contradicts the route's own auth");
    }
}

/// A flag that no route uses decides nothing: most likely a misspelt name.
fn used_flags(config: &Config, reader: &Reader<'_>) {
    let used: BTreeSet<&FlagId> = config
        .routes
        .iter()
        .filter_map(|route| route.flag.as_ref())
        .collect();
    for id in config.flags.keys().filter(|id| !used.contains(id)) {
        reader.fault(&format!("flags.{id}"), "is used by no route");
    }
}

/// Whether a request could be for either of two routes with one host and one pattern (apart from
/// letters' case).
fn collides(one: &Route, other: &Route) -> bool {
    let same_pattern = (one.case_insensitive && other.case_insensitive)
        || one.pattern.shape() == other.pattern.shape();
    let shared_method = match (&one.methods, &other.methods) {
        (None, _) | (_, None) => one.methods == other.methods,
        (Some(one), Some(other)) => one.iter().any(|method| other.contains(method)),
    };
    same_pattern && shared_method && one.accept == other.accept
}

fn declared<K: Display, V>(names: btree_map::Keys<'_, K, V>) -> String {
    let names: Vec<_> = names.map(ToString::to_string).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
