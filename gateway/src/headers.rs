//! Which headers cross the gateway, in both directions.
//!
//! Invariant: nothing that describes one connection, and nothing that a client could use to speak
//! with the gateway's voice (`X-Auth-*`, `X-Banyan-*`), reaches an upstream. Removal always comes
//! before our own headers are added (RFC 9110 §7.6.1).

mod content;
mod forwarded;
mod override_method;
mod rules;

use http::header;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

pub use content::{EVENT_STREAM, content_type, names_media_type, vary_by};
pub use forwarded::{
    PeerTrust, Scheme, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, add_forwarded,
    client_address, written,
};
pub use override_method::{AmbiguousOverride, method_override, remove_method_overrides};
pub(crate) use rules::refused_in_rules;

/// The subject that the flag decided for.
pub const X_BANYAN_SUBJECT: HeaderName = HeaderName::from_static("x-banyan-subject");
/// The id of the route that took the request.
pub const X_BANYAN_ROUTE: HeaderName = HeaderName::from_static("x-banyan-route");
/// The name of the upstream that answered.
pub const X_BANYAN_UPSTREAM: HeaderName = HeaderName::from_static("x-banyan-upstream");
/// Present with `1` when the other side answered because the chosen one could not.
pub const X_BANYAN_FALLBACK: HeaderName = HeaderName::from_static("x-banyan-fallback");
/// The verified token's `sub`.
pub const X_AUTH_SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
/// The verified token's roles, comma-separated.
pub const X_AUTH_ROLES: HeaderName = HeaderName::from_static("x-auth-roles");
/// Names the first response to an unsafe request (IETF draft; Stripe's convention).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How much is left of a limit (draft-ietf-httpapi-ratelimit-headers).
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What the limit is.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What a message says of the connection that it comes over.
pub(crate) static ABOUT_THE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// These frame or route the message itself; naming them in `Connection` cannot remove them.
const NEVER_NOMINATED: [HeaderName; 3] =
    [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE];

/// Removes what describes the connection it came over, including what `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if !has_any(headers, &ABOUT_THE_CONNECTION) {
        return;
    }
    if headers.contains_key(header::CONNECTION) {
        let nominated: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .filter(|name| !NEVER_NOMINATED.contains(name))
            .collect();
        for name in nominated {
            headers.remove(name);
        }
    }
    for name in &ABOUT_THE_CONNECTION {
        headers.remove(name);
    }
}

/// True when one of these is there. One look at all names, which are few: cheaper than to look each one
/// up, most of which are in no message.
pub(crate) fn has_any(headers: &HeaderMap, names: &[HeaderName]) -> bool {
    headers.keys().any(|name| names.contains(name))
}

/// Removes what no upstream gets from a client: what describes the connection, what only the gateway
/// may say, and the method-override headers where the route does not heed them.
pub fn clean(headers: &mut HeaderMap, keeps_overrides: bool) {
    remove_hop_by_hop(headers);
    remove_reserved(headers);
    if !keeps_overrides {
        remove_method_overrides(headers);
    }
}

/// Removes every spelling of the names that only the gateway may write.
///
/// `_` counts as `-`, because CGI-like servers cannot tell them apart.
pub fn remove_reserved(headers: &mut HeaderMap) {
    remove_where(headers, is_reserved);
}

/// Removes what only this gateway may say in a response (an upstream may be a gateway itself).
pub fn remove_own(headers: &mut HeaderMap) {
    remove_where(headers, |name| starts_with_underscores(name, "x-banyan-"));
}

/// Adds this hop to `Via` (RFC 9110 §7.6.3).
pub fn add_via(headers: &mut HeaderMap, received: Version) {
    let hop = match received {
        Version::HTTP_10 => HeaderValue::from_static("1.0 banyan"),
        Version::HTTP_2 => HeaderValue::from_static("2.0 banyan"),
        _ => HeaderValue::from_static("1.1 banyan"),
    };
    headers.append(header::VIA, hop);
}

/// The protocol that a message offers or confirms to switch to, if it does so validly.
pub fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let names_upgrade = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    if !names_upgrade {
        return None;
    }
    headers.get(header::UPGRADE).cloned()
}

/// True when the client said that it understands trailers.
pub fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Inserts text that came from configuration or an address; unwritable text is left out.
pub fn insert_text(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Most requests hold nothing to remove: the names are collected only when one is found.
fn remove_where(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let unwanted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// True for a name that only the gateway may write, however it is spelt.
pub(crate) fn is_reserved_name(name: &HeaderName) -> bool {
    is_reserved(name.as_str())
}

fn is_reserved(name: &str) -> bool {
    starts_with_underscores(name, "x-auth-") || starts_with_underscores(name, "x-banyan-")
}

fn starts_with_underscores(name: &str, prefix: &str) -> bool {
    name.as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| equals_octets(start, prefix.as_bytes()))
}

fn equals_with_underscores(name: &str, known: &str) -> bool {
    equals_octets(name.as_bytes(), known.as_bytes())
}

fn equals_octets(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len()
        && name
            .iter()
            .zip(known)
            .all(|(octet, expected)| octet == expected || (*octet == b'_' && *expected == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_connection_names_is_removed_with_it_but_not_what_frames_the_message() {
        let mut map = headers(&[
            ("connection", "close, x-private"),
            ("connection", "host, content-length"),
            ("x-private", "1"),
            ("host", "a"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("x-public", "1"),
        ]);
        remove_hop_by_hop(&mut map);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-public"]);
    }

    #[test]
    fn no_spelling_of_a_reserved_name_survives() {
        let mut map = headers(&[
            ("X-Auth-Subject", "root"),
            ("x_auth_subject", "root"),
            ("x-auth_roles", "admin"),
            ("X_Banyan-Subject", "root"),
            ("x-banyan-anything", "1"),
            ("x-authority", "kept"),
            ("x-banyantree", "kept"),
        ]);
        remove_reserved(&mut map);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-authority", "x-banyantree"]);
    }

    #[test]
    fn an_upgrade_counts_only_when_connection_names_it() {
        assert!(upgrade_of(&headers(&[("upgrade", "websocket")])).is_none());
        let map = headers(&[
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
        ]);
        assert_eq!(upgrade_of(&map).unwrap(), "websocket");
    }
}
