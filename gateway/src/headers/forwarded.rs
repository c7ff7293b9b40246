//! Who a request comes from, as proxies tell it to each other.
//!
//! Invariant: what a stranger says of where it comes from is never passed on, nor believed.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{insert_text, remove_where, starts_with_underscores};

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
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

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

fn join_values(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;

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
}
