//! From the tree of values to a [`Config`], section by section.

use std::{collections::BTreeMap, net::SocketAddr, str::FromStr, time::Duration};

use figment::Figment;
use http::Method;

use super::{
    AccessLog, AdminToken, Auth, Breaker, Config, EncodedSlash, Fault, Faults, Health, Issuer,
    IssuerKey, PathForm, Protocol, RateKey, RateLimit, Retry, Rewrite, Role, Route, RouteAuth,
    Secret, Upstream, parse_duration,
    reader::{Node, Reader, Section},
    validate,
};
use crate::flag::{Percent, Rule, Settings, Side};

/// The development defaults.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;
/// Connecting within a network takes milliseconds; a second covers a lost SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// What users wait for at most, by the documented sample.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Server-sent events send a comment twice a minute at least.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Clocks that NTP keeps are closer than this.
const LEEWAY: Duration = Duration::from_secs(30);

pub(super) fn config(figment: &Figment) -> Result<Config, Faults> {
    let value = figment.find_value("").map_err(syntax_faults)?;
    let reader = Reader::new(figment);
    let config = reader.root(&value).section().and_then(root);
    if let Some(config) = &config {
        validate::config(config, &reader);
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
    let flags = named(&mut section, "flags", flag);
    if upstreams.is_empty() && !section.has("upstreams") {
        section.fault("upstreams", "at least one is needed");
    }
    let routes = match section.node("routes") {
        Some(routes) => routes.items().into_iter().filter_map(route).collect(),
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
        auth: section.node("auth").and_then(Node::section).map(auth),
    };
    section.finish();
    Some(config)
}

const ACCESS_LOG: &[(&str, AccessLog)] = &[("json", AccessLog::Json), ("off", AccessLog::Off)];
const ROLES: &[(&str, Role)] = &[("viewer", Role::Viewer), ("operator", Role::Operator)];
const PROTOCOLS: &[(&str, Protocol)] = &[
    ("http1", Protocol::Http1),
    ("h2c", Protocol::H2c),
    ("https", Protocol::Https),
    ("auto", Protocol::Auto),
];
const RATE_KEYS: &[(&str, RateKey)] = &[
    ("subject", RateKey::Subject),
    ("ip", RateKey::Ip),
    ("route", RateKey::Route),
];
const PATH_FORMS: &[(&str, PathForm)] = &[
    ("normalized", PathForm::Normalized),
    ("keep", PathForm::Keep),
];
const ENCODED_SLASHES: &[(&str, EncodedSlash)] = &[
    ("reject", EncodedSlash::Reject),
    ("keep", EncodedSlash::Keep),
];
const SIDES: &[(&str, Side)] = &[("legacy", Side::Legacy), ("candidate", Side::Candidate)];

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

fn flag(node: Node<'_>) -> Option<Settings> {
    let name = node.name().to_owned();
    let mut section = node.section()?;
    let mut settings = Settings::new(&name);
    if let Some(percent) = section.read("percent", |node| {
        Percent::from_number(node.number()?).map_err(|error| error.to_string())
    }) {
        settings.percent = percent;
    }
    if let Some(salt) = section.read("salt", Node::text) {
        settings.salt = salt;
    }
    if let Some(node) = section.node("subject") {
        settings.subject = parsed_list(&node);
        if node.items().is_empty() {
            node.fault("at least one source is needed");
        }
    }
    for (key, set) in [("allow", &mut settings.allow), ("deny", &mut settings.deny)] {
        if let Some(node) = section.node(key) {
            set.extend(node.texts());
        }
    }
    if let Some(node) = section.node("rules") {
        settings.rules = node.items().into_iter().filter_map(rule).collect();
    }
    settings.drain = section.read("drain", Node::boolean).unwrap_or(false);
    if let Err(fault) = settings.validate() {
        section.fault(fault.field, fault.message);
    }
    section.finish();
    Some(settings)
}

fn rule(node: Node<'_>) -> Option<Rule> {
    let mut section = node.section()?;
    let header = section.required("header", |node| {
        node.text()?
            .parse()
            .map_err(|_| "must be a header's name".to_owned())
    });
    let equals = section.required("equals", Node::text);
    let side = section
        .read("side", |node| one_of(node, SIDES))
        .unwrap_or(Side::Candidate);
    section.finish();
    Some(Rule {
        header: header?,
        equals: equals?,
        side,
    })
}

fn route(node: Node<'_>) -> Option<Route> {
    let node = match node.peek("id") {
        Some(id) => node.clone().called(id),
        None => node,
    };
    let mut section = node.section()?;
    section.node("shadow");
    let id = section.required("id", Node::parsed);
    let prefix = section.required("prefix", prefix);
    let legacy = section.required("legacy", Node::parsed);
    let candidate = section.read("candidate", Node::parsed);
    let flag = section.read("flag", Node::parsed);
    let methods = section.node("methods").map(|node| methods(&node));
    let host = section.read("host", host);
    let fallback = section.read("fallback", Node::boolean).unwrap_or(true);
    let rewrite = section.node("rewrite").and_then(rewrite);
    let auth = section.node("auth").and_then(route_auth);
    let public = section.read("public", Node::boolean).unwrap_or(false);
    let rate_limit = section.node("rate_limit").and_then(rate_limit);
    let path = section
        .read("path", path_form)
        .unwrap_or(PathForm::Normalized);
    let encoded_slash = section
        .read("encoded_slash", |node| one_of(node, ENCODED_SLASHES))
        .unwrap_or(EncodedSlash::Reject);
    let case_insensitive = section
        .read("case_insensitive", Node::boolean)
        .unwrap_or(false);
    let method_override = section
        .read("method_override", Node::boolean)
        .unwrap_or(false);
    section.finish();
    Some(Route {
        id: id?,
        prefix: prefix?,
        host,
        methods,
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
    if !required && !roles.is_empty() {
        section.fault(
            "roles",
            "need required = true: nobody without a token has a role",
        );
    }
    section.finish();
    Some(RouteAuth { required, roles })
}

fn rate_limit(node: Node<'_>) -> Option<RateLimit> {
    let mut section = node.section()?;
    let per = section
        .read("per", |node| one_of(node, RATE_KEYS))
        .unwrap_or(RateKey::Subject);
    let rate: Option<super::Rate> = section.required("rate", Node::parsed);
    let burst = section.read("burst", Node::count);
    section.finish();
    let rate = rate?;
    Some(RateLimit {
        per,
        rate,
        burst: burst.unwrap_or(rate.count),
    })
}

fn auth(mut section: Section<'_>) -> Auth {
    section.node("forward");
    let leeway = section.read("leeway", duration).unwrap_or(LEEWAY);
    let issuers = list(&mut section, "issuers", issuer);
    section.finish();
    Auth { leeway, issuers }
}

fn issuer(node: Node<'_>) -> Option<Issuer> {
    let mut section = node.section()?;
    let issuer = section.required("issuer", Node::text);
    let audience = section.read("audience", Node::text);
    let scheme = section
        .read("scheme", Node::text)
        .unwrap_or_else(|| "Bearer".to_owned());
    let keys = [
        section.read("jwks_url", http_url).map(IssuerKey::JwksUrl),
        section
            .read("secret", Node::text)
            .map(|text| IssuerKey::Secret(Secret::new(text))),
        section
            .read("public_key", Node::text)
            .map(IssuerKey::PublicKey),
    ];
    let mut keys = keys.into_iter().flatten();
    let key = keys.next();
    if key.is_none() || keys.next().is_some() {
        section.fault("", "needs exactly one of jwks_url, secret and public_key");
    }
    section.finish();
    Some(Issuer {
        issuer: issuer?,
        audience,
        key: key?,
        scheme,
    })
}

fn named<K: FromStr + Ord, T>(
    section: &mut Section<'_>,
    key: &'static str,
    read: fn(Node<'_>) -> Option<T>,
) -> BTreeMap<K, T>
where
    K::Err: std::fmt::Display,
{
    let mut all = BTreeMap::new();
    for (name, node) in section
        .node(key)
        .map(|node| node.entries())
        .unwrap_or_default()
    {
        match name.parse() {
            Ok(id) => all.extend(read(node).map(|value| (id, value))),
            Err(error) => node.fault(K::Err::to_string(&error)),
        }
    }
    all
}

fn list<T>(
    section: &mut Section<'_>,
    key: &'static str,
    read: impl Fn(Node<'_>) -> Option<T>,
) -> Vec<T> {
    let items = section
        .node(key)
        .map(|node| node.items())
        .unwrap_or_default();
    items.into_iter().filter_map(read).collect()
}

fn parsed_list<T: FromStr>(node: &Node<'_>) -> Vec<T>
where
    T::Err: std::fmt::Display,
{
    let parsed = |item: Node<'_>| item.parsed().map_err(|message| item.fault(message)).ok();
    node.items().into_iter().filter_map(parsed).collect()
}

fn methods(node: &Node<'_>) -> Vec<Method> {
    let methods = node.texts();
    if methods.is_empty() {
        node.fault("at least one is needed; leave it out for all");
    }
    let parse = |text: String| {
        let upper = text.chars().all(|character| character.is_ascii_uppercase());
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if upper => Some(method),
            _ => {
                node.fault(format!("`{text}` is no method (they are upper case)"));
                None
            }
        }
    };
    methods.into_iter().filter_map(parse).collect()
}

fn one_of<T: Copy>(node: &Node<'_>, choices: &[(&str, T)]) -> Result<T, String> {
    let text = node.text()?;
    let found = choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is none of {}", names.join(", "))
    })
}

fn duration(node: &Node<'_>) -> Result<Duration, String> {
    parse_duration(&node.text()?)
}

fn up_to(node: &Node<'_>, most: u32) -> Result<u32, String> {
    let count = node.count()?;
    if count > most {
        Err(format!("{count} is above {most}"))
    } else {
        Ok(count)
    }
}

fn path_form(node: &Node<'_>) -> Result<PathForm, String> {
    if node.text()?.starts_with('/') {
        return Err("path templates are not part of this version; use prefix".to_owned());
    }
    one_of(node, PATH_FORMS)
}

fn absolute_path(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let is_path = text.starts_with('/')
        && text
            .parse::<http::uri::PathAndQuery>()
            .is_ok_and(|path| path.as_str() == text);
    if is_path {
        Ok(text)
    } else {
        Err(format!("`{text}` is no path; `/health` is"))
    }
}

/// A prefix is compared with paths after their dots are resolved, their slashes merged, their
/// parameters taken off and their plain characters decoded: one that is not in that form itself
/// would never match.
fn prefix(node: &Node<'_>) -> Result<String, String> {
    let text = absolute_path(node)?;
    let wrong = |what: &str| Err(format!("`{text}` {what}: it would never match"));
    if text.contains(['?', '#', ';', '%', '\\']) {
        return wrong("holds one of ? # ; % and backslash");
    }
    if text.contains("//")
        || text
            .split('/')
            .any(|segment| segment == "." || segment == "..")
    {
        return wrong("has an empty, `.` or `..` segment");
    }
    match text.strip_suffix('/') {
        Some("") => Ok(text),
        Some(stripped) => Ok(stripped.to_owned()),
        None => Ok(text),
    }
}

fn host(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let authority: Result<http::uri::Authority, _> = text.parse();
    match authority {
        Ok(authority) if authority.host() == text => Ok(text.to_ascii_lowercase()),
        _ => Err(format!(
            "`{text}` is no host name (without scheme and port)"
        )),
    }
}

fn http_url(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let uri: http::Uri = text.parse().map_err(|_| format!("`{text}` is no URL"))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(text),
        _ => Err(format!("`{text}` must begin with http:// or https://")),
    }
}

fn log_url(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let known = ["postgres://", "postgresql://", "sqlite:"];
    if known.iter().any(|scheme| text.starts_with(scheme)) {
        Ok(text)
    } else {
        Err("must begin with postgres:// or sqlite:".to_owned())
    }
}

/// Shorter keys can be guessed from one signed cookie.
const MIN_KEY_LENGTH: usize = 32;
/// Shorter tokens can be guessed over the network.
const MIN_TOKEN_LENGTH: usize = 16;

fn cookie_key(node: &Node<'_>) -> Result<Secret, String> {
    secret(node, MIN_KEY_LENGTH)
}

fn admin_secret(node: &Node<'_>) -> Result<Secret, String> {
    secret(node, MIN_TOKEN_LENGTH)
}

fn secret(node: &Node<'_>, shortest: usize) -> Result<Secret, String> {
    let text = node.text()?;
    if text.len() < shortest {
        return Err(format!("is shorter than {shortest} characters"));
    }
    Ok(Secret::new(text))
}

fn actor_name(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    if crate::flag::is_actor(&text) {
        Ok(text)
    } else {
        Err(format!(
            "`{text}` is no name: 1 to 64 printable ASCII characters are"
        ))
    }
}
