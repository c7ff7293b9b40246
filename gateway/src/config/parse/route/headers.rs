//! `[routes.request_headers]`, `[routes.response_headers]` and `cors`.

use http::{HeaderName, HeaderValue, Method};

use super::super::{
    super::{
        Cors, HeaderRules, Names, Origins,
        reader::{Node, Section},
    },
    scalar::{duration, methods},
};
use crate::headers::refused_in_rules;

/// What pages send apart from reading, where neither the route nor its `cors` names methods.
const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

pub(super) fn rules(node: Node<'_>) -> Option<HeaderRules> {
    let mut section = node.section()?;
    let is_empty = !["remove", "set", "add"].iter().any(|key| section.has(key));
    let rules = HeaderRules {
        remove: section
            .node("remove")
            .map(|node| names(&node, rule_name))
            .unwrap_or_default(),
        set: pairs(&mut section, "set"),
        add: pairs(&mut section, "add"),
    };
    if is_empty {
        section.fault("", "changes nothing: name set, add or remove");
    }
    let is_removed = |name: &HeaderName| rules.remove.contains(name);
    for (name, _) in rules.set.iter().filter(|(name, _)| is_removed(name)) {
        section.fault("remove", format!("`{name}` is set, which removes it too"));
    }
    section.finish();
    Some(rules)
}

pub(super) fn cors(node: Node<'_>, route_methods: Option<&[Method]>) -> Option<Cors> {
    let mut section = node.section()?;
    let origins = section.required("origins", |node| Ok(node.clone()));
    let origins = origins.map(|node| origins_of(&node));
    let methods = section.node("methods").map(|node| methods(&node));
    let headers = names_or_any(&mut section, "headers");
    let credentials = section.read("credentials", Node::boolean).unwrap_or(false);
    let max_age = section.read("max_age", duration);
    let expose = names_or_any(&mut section, "expose");
    if credentials {
        let wildcards = [
            ("origins", origins == Some(Origins::Any)),
            ("headers", headers == Names::Any),
            ("expose", expose == Names::Any),
        ];
        for (key, _) in wildcards.iter().filter(|(_, is_any)| *is_any) {
            let message = "`*` together with credentials would hand everybody's session to every \
                           page: name them";
            section.fault(key, message);
        }
    }
    section.finish();
    let of_route = || route_methods.unwrap_or(&METHODS).to_vec();
    Some(Cors {
        origins: origins?,
        methods: methods.unwrap_or_else(of_route),
        headers,
        credentials,
        max_age,
        expose,
    })
}

fn origins_of(node: &Node<'_>) -> Origins {
    let texts = node.texts();
    if texts.is_empty() {
        node.fault("at least one is needed, or \"*\"");
    }
    if texts.iter().any(|text| text == "*") {
        if texts.len() > 1 {
            node.fault("`*` is all of them already");
        }
        return Origins::Any;
    }
    let parse = |text: String| {
        let origin = origin(&text);
        if origin.is_none() {
            node.fault(format!(
                "`{text}` is no origin; `https://app.example.org` is, as browsers write it \
                 (lower case, no path, no default port)"
            ));
        }
        origin
    };
    Origins::Some(texts.into_iter().filter_map(parse).collect())
}

/// Compared byte by byte with what browsers send, so only what they send is taken.
fn origin(text: &str) -> Option<HeaderValue> {
    if text == "null" {
        // Any sandboxed page has this one.
        return None;
    }
    let (scheme, authority) = text.split_once("://")?;
    let parsed: http::uri::Authority = authority.parse().ok()?;
    let default_port = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let is_written_so = !authority.contains('@')
        && !scheme.is_empty()
        && parsed
            .port_u16()
            .is_none_or(|port| Some(port) != default_port)
        && !authority.ends_with(':')
        && text == text.to_ascii_lowercase();
    is_written_so.then(|| HeaderValue::from_str(text).ok())?
}

fn names_or_any(section: &mut Section<'_>, key: &'static str) -> Names {
    let Some(node) = section.node(key) else {
        return Names::Some(Vec::new());
    };
    if node.texts().iter().any(|text| text == "*") {
        if node.texts().len() > 1 {
            node.fault("`*` is all of them already");
        }
        return Names::Any;
    }
    Names::Some(names(&node, name))
}

fn names(node: &Node<'_>, read: fn(&str) -> Result<HeaderName, String>) -> Vec<HeaderName> {
    let parse = |text: String| read(&text).map_err(|message| node.fault(message)).ok();
    node.texts().into_iter().filter_map(parse).collect()
}

fn pairs(section: &mut Section<'_>, key: &'static str) -> Vec<(HeaderName, HeaderValue)> {
    let entries = section
        .node(key)
        .map(|node| node.entries())
        .unwrap_or_default();
    let pair = |(text, node): (String, Node<'_>)| {
        let value = node.text().and_then(|text| {
            HeaderValue::from_str(&text)
                .map_err(|_| "is no header's value: printable ASCII is".to_owned())
        });
        let pair = rule_name(&text).and_then(|name| Ok((name, value?)));
        pair.map_err(|message| node.fault(message)).ok()
    };
    let mut pairs: Vec<_> = entries.into_iter().filter_map(pair).collect();
    for (_, value) in &mut pairs {
        // It may be a key of the upstream's: logs and HTTP/2's tables shall not hold it.
        value.set_sensitive(true);
    }
    pairs
}

fn rule_name(text: &str) -> Result<HeaderName, String> {
    let name = name(text)?;
    match refused_in_rules(&name) {
        Some(why) => Err(format!("`{name}` {why}; no rule can change it")),
        None => Ok(name),
    }
}

fn name(text: &str) -> Result<HeaderName, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no header's name"))
}
