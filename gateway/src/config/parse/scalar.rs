//! Single values, and lists and tables of what is alike.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use http::Method;

use super::super::{
    Secret, parse_duration,
    reader::{Node, Section},
};

pub(super) fn named<K: FromStr + Ord, T>(
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

pub(super) fn list<T>(
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

pub(super) fn parsed_list<T: FromStr>(node: &Node<'_>) -> Vec<T>
where
    T::Err: std::fmt::Display,
{
    let parsed = |item: Node<'_>| item.parsed().map_err(|message| item.fault(message)).ok();
    node.items().into_iter().filter_map(parsed).collect()
}

pub(super) fn methods(node: &Node<'_>) -> Vec<Method> {
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

pub(super) fn one_of<T: Copy>(node: &Node<'_>, choices: &[(&str, T)]) -> Result<T, String> {
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

pub(super) fn duration(node: &Node<'_>) -> Result<Duration, String> {
    parse_duration(&node.text()?)
}

pub(super) fn up_to(node: &Node<'_>, most: u32) -> Result<u32, String> {
    let count = node.count()?;
    if count > most {
        Err(format!("{count} is above {most}"))
    } else {
        Ok(count)
    }
}

pub(super) fn absolute_path(node: &Node<'_>) -> Result<String, String> {
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
pub(super) fn prefix(node: &Node<'_>) -> Result<String, String> {
    plain_path(absolute_path(node)?)
}

/// A path in its normal form, without a slash at its end.
pub(super) fn plain_path(text: String) -> Result<String, String> {
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

/// A media type without parameters and wildcards, in lower case: `application/vnd.shop.v2+json`.
pub(super) fn media_type(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&octet))
    };
    match text.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => {
            Ok(text.to_ascii_lowercase())
        }
        _ => Err(format!(
            "`{text}` is no media type; `application/vnd.shop.v2+json` is (no parameters, no *)"
        )),
    }
}

/// Without the dot at its end that stands for the root of DNS: with and without is one host.
pub(super) fn host(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let host = text.strip_suffix('.').unwrap_or(&text);
    let authority: Result<http::uri::Authority, _> = host.parse();
    match authority {
        Ok(authority) if authority.host() == host => Ok(host.to_ascii_lowercase()),
        _ => Err(format!(
            "`{text}` is no host name (without scheme and port)"
        )),
    }
}

/// The URL of a key set or a session: the gateway asks it by GET.
pub(super) fn asked_url(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let uri: http::Uri = text.parse().map_err(|_| format!("`{text}` is no URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(format!("`{text}` must begin with http:// or https://"));
    }
    if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err("holds credentials; they would stand in logs".to_owned());
    }
    Ok(text)
}

pub(super) fn certificates(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    if crate::identity::are_roots(&text) {
        Ok(text)
    } else {
        Err("holds no certificate in PEM".to_owned())
    }
}

pub(super) fn public_key(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    if crate::identity::is_public_key(&text) {
        Ok(text)
    } else {
        Err(
            "is no public key in PEM (Ed25519, RSA of 2048 bits or more, P-256 or P-384)"
                .to_owned(),
        )
    }
}

pub(super) fn log_url(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    let known = ["postgres://", "postgresql://", "sqlite:"];
    if known.iter().any(|scheme| text.starts_with(scheme)) {
        Ok(text)
    } else {
        Err("must begin with postgres:// or sqlite:".to_owned())
    }
}

/// Kept as a secret, since it may hold a password.
pub(super) fn nats_url(node: &Node<'_>) -> Result<Secret, String> {
    let text = node.text()?;
    if !text.starts_with("nats://") {
        return Err("must begin with nats://".to_owned());
    }
    bus::NatsBus::check(&text).map_err(|error| error.to_string())?;
    Ok(Secret::new(text))
}

/// Shorter keys can be guessed from one signed cookie.
const MIN_KEY_LENGTH: usize = 32;
/// Shorter tokens can be guessed over the network.
const MIN_TOKEN_LENGTH: usize = 16;
/// Shorter secrets can be guessed from one signed token.
const MIN_SHARED_SECRET_LENGTH: usize = 16;

pub(super) fn cookie_key(node: &Node<'_>) -> Result<Secret, String> {
    secret(node, MIN_KEY_LENGTH)
}

pub(super) fn admin_secret(node: &Node<'_>) -> Result<Secret, String> {
    secret(node, MIN_TOKEN_LENGTH)
}

pub(super) fn shared_secret(node: &Node<'_>) -> Result<Secret, String> {
    secret(node, MIN_SHARED_SECRET_LENGTH)
}

fn secret(node: &Node<'_>, shortest: usize) -> Result<Secret, String> {
    let text = node.text()?;
    if text.len() < shortest {
        return Err(format!("is shorter than {shortest} characters"));
    }
    Ok(Secret::new(text))
}

pub(super) fn actor_name(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    if crate::flag::is_actor(&text) {
        Ok(text)
    } else {
        Err(format!(
            "`{text}` is no name: 1 to 64 printable ASCII characters are"
        ))
    }
}
