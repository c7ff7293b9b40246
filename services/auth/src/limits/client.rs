//! Where a request comes from, as far as that can be known.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{HeaderMap, request::Parts},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address. Of IPv6 the first 64 bits count: the rest is each client's to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(IpAddr);

/// Addresses that begin alike, as `10.0.0.0/8` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Who may say on whose behalf a request comes: the gateways.
#[derive(Clone, Debug)]
pub struct Proxies(Arc<[Network]>);

impl Client {
    /// The client at `address`.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// What it is counted by.
    #[must_use]
    pub fn key(&self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                format!("{}/64", Ipv6Addr::from_bits(network))
            }
        }
    }
}

impl Network {
    /// All of this machine.
    #[must_use]
    pub fn loopback() -> Vec<Self> {
        let v4 = Self {
            address: Ipv4Addr::new(127, 0, 0, 0).into(),
            bits: 8,
        };
        let v6 = Self {
            address: Ipv6Addr::LOCALHOST.into(),
            bits: 128,
        };
        vec![v4, v6]
    }

    /// Whether `address` is one of these.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let bits = 32 - u32::from(self.bits.min(32));
                (u64::from(own.to_bits()) >> bits) == (u64::from(other.to_bits()) >> bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let bits = 128 - u32::from(self.bits.min(128));
                own.to_bits().checked_shr(bits) == other.to_bits().checked_shr(bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address and no network such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = if text.contains('/') {
            bits.parse().map_err(|_| wrong())?
        } else {
            most
        };
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}/{}", self.address, self.bits))
    }
}

impl Proxies {
    /// Trusts these.
    #[must_use]
    pub fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    /// The peer itself; or, where the peer is a proxy of ours, whom it names last: all before that
    /// is what the client claims.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        if !self.0.iter().any(|network| network.contains(peer)) {
            return Client::at(peer);
        }
        let named = headers.get_all(FORWARDED_FOR).iter().next_back();
        let last = named
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.rsplit(',').next())
            .and_then(|last| last.trim().parse().ok());
        Client::at(last.unwrap_or(peer))
    }
}

impl<S> FromRequestParts<S> for Client
where
    S: Send + Sync,
    Proxies: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // A server that does not tell the peer's address has one client.
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
        Ok(Proxies::from_ref(state).client(peer, &parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_a_trusted_proxy_may_speak_for_others_and_only_its_own_word_counts() {
        let proxies = Proxies::new(&Network::loopback());
        let client = |peer: &str, values| {
            proxies
                .client(peer.parse().unwrap(), &headers(values))
                .key()
        };
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("::1", &["1.1.1.1", "8.8.8.8"]), "8.8.8.8");
        assert_eq!(client("203.0.113.9", &["1.1.1.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let key = |text: &str| Client::at(text.parse().unwrap()).key();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:1.2.3.4"), "1.2.3.4");
    }

    #[test]
    fn networks_contain_what_begins_alike() {
        let contains = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.200.3.4"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("fd00::/8", "fd12::1"));
        assert!(contains("::/0", "fd12::1"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
        for text in ["10.0.0.0/33", "ten", "", "10.0.0.0/x", "::/129"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
