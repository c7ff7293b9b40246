//! Which headers cross the gateway, in both directions.
//!
//! Invariant: nothing that describes one connection, and nothing that a client could use to speak
//! with the gateway's voice (`X-Auth-*`, `X-Banyan-*`), reaches an upstream. Removal always comes
//! before our own headers are added (RFC 9110 §7.6.1).

mod content;
mod override_method;
mod rules;

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

pub use content::{EVENT_STREAM, content_type, names_media_type, vary_by};
pub use override_method::{AmbiguousOverride, method_override, remove_method_overrides};
pub(crate) use rules::refused_in_rules;

/// Who a request claims to come from, after the claim was weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerTrust {
    /// The peer is one of our own proxies: what it says in `X-Forwarded-*` holds.
    Proxy,
    /// Anybody: its `X-Forwarded-*` are forged until proven otherwise, and are replaced.
    Client,
}

/// What a client speaks to this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Over TLS.
    Https,
}

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
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
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

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

/// An address as [`add_forwarded`] takes it. Its copies share their memory from the beginning.
pub fn written(address: IpAddr) -> HeaderValue {
    let text = Bytes::from_owner(address.to_canonical().to_string());
    HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Tells the upstream who called, as far as we believe it.
pub fn add_forwarded(
    headers: &mut HeaderMap,
    peer: &HeaderValue,
    trust: PeerTrust,
    scheme: Scheme,
) {
    match trust {
        PeerTrust::Proxy => {
            let chain = join_values(headers, &X_FORWARDED_FOR);
            match chain {
                Some(before) => {
                    let peer = peer.to_str().unwrap_or_default();
                    insert_text(headers, X_FORWARDED_FOR, &format!("{before}, {peer}"));
                }
                None => {
                    headers.insert(X_FORWARDED_FOR, peer.clone());
                }
            }
        }
        PeerTrust::Client => {
            remove_where(headers, |name| {
                name == FORWARDED.as_str() || starts_with_underscores(name, "x-forwarded-")
            });
            headers.insert(X_FORWARDED_FOR, peer.clone());
        }
    }
    if let Entry::Vacant(slot) = headers.entry(X_FORWARDED_PROTO) {
        slot.insert(HeaderValue::from_static(match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }));
    }
    if !headers.contains_key(X_FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// The client's own address: the last one in `X-Forwarded-For` that is not one of our proxies.
///
/// `is_trusted` is asked from the peer backwards; the first stranger is the client.
pub fn client_address(
    headers: &HeaderMap,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let Some(chain) = join_values(headers, &X_FORWARDED_FOR) else {
        return peer;
    };
    let mut nearest = peer;
    for hop in chain.rsplit(',') {
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            // Beyond an unreadable hop nobody vouches for anything.
            return nearest;
        };
        nearest = address.to_canonical();
        if !is_trusted(nearest) {
            return nearest;
        }
    }
    nearest
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

fn join_values(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
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
    fn a_strangers_forwarding_claims_are_replaced() {
        let mut map = headers(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded-proto", "ftp"),
            ("forwarded", "for=1.2.3.4"),
        ]);
        add_forwarded(
            &mut map,
            &written("9.9.9.9".parse().unwrap()),
            PeerTrust::Client,
            Scheme::Https,
        );
        assert_eq!(map["x-forwarded-for"], "9.9.9.9");
        assert_eq!(map["x-forwarded-proto"], "https");
        assert_eq!(map["x-forwarded-host"], "shop.example");
        assert!(!map.contains_key("forwarded") && !map.contains_key("x_forwarded_for"));
    }

    #[test]
    fn a_trusted_proxys_claims_are_kept_and_extended() {
        let mut map = headers(&[
            ("host", "inner"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
        ]);
        add_forwarded(
            &mut map,
            &written("10.0.0.1".parse().unwrap()),
            PeerTrust::Proxy,
            Scheme::Http,
        );
        assert_eq!(map["x-forwarded-for"], "1.2.3.4, 10.0.0.1");
        assert_eq!(map["x-forwarded-proto"], "https");
        assert_eq!(map["x-forwarded-host"], "shop.example");
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_not_ours() {
        let ours = |address: IpAddr| address.to_string().starts_with("10.");
        let peer = |text: &str| text.parse().unwrap();
        let map = headers(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2")]);
        let address = client_address(&map, peer("10.0.0.1"), ours);
        assert_eq!(address, peer("1.2.3.4"));
        assert_eq!(client_address(&map, peer("5.5.5.5"), ours), peer("5.5.5.5"));
        let broken = headers(&[("x-forwarded-for", "1.2.3.4, unknown, 10.0.0.2")]);
        let address = client_address(&broken, peer("10.0.0.1"), ours);
        assert_eq!(address, peer("10.0.0.2"));
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
