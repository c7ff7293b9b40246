//! `[[routes]]`.

use super::{
    super::{
        EncodedSlash, PathForm, Rate, RateKey, RateLimit, Rewrite, Route, RouteAuth, reader::Node,
    },
    scalar::{host, methods, one_of, path_form, prefix},
};

const RATE_KEYS: &[(&str, RateKey)] = &[
    ("subject", RateKey::Subject),
    ("ip", RateKey::Ip),
    ("route", RateKey::Route),
];
pub(super) const PATH_FORMS: &[(&str, PathForm)] = &[
    ("normalized", PathForm::Normalized),
    ("keep", PathForm::Keep),
];
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
    let max_body = section.read("max_body", Node::count);
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
    let rate: Option<Rate> = section.required("rate", Node::parsed);
    let burst = section.read("burst", Node::count);
    section.finish();
    let rate = rate?;
    Some(RateLimit {
        per,
        rate,
        burst: burst.unwrap_or(rate.count),
    })
}
