//! What the data port's clients meet first: TLS, and what they may cost.

use std::path::PathBuf;
use std::time::Duration;

/// What the data port speaks TLS with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and its chain, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What clients may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all; further ones are answered 503.
    pub max_connections: u32,
    /// Connections from one address (of IPv6: from one /64), but for those of `trusted_proxies`;
    /// absent: as many as there may be in all.
    pub max_connections_per_address: Option<u32>,
    /// How long a request's head may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may have nothing to do.
    pub idle_timeout: Duration,
    /// Bytes a second that a client has to send of a body, and to read of an answer, while it is
    /// being waited for …
    pub min_rate: u32,
    /// … over this long.
    pub min_rate_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // An idle connection costs about 10 KiB: within 1 GiB.
            max_connections: 65_536,
            max_connections_per_address: None,
            // A head is one packet mostly; the slowest network sends 64 KiB in less.
            header_timeout: Duration::from_secs(30),
            // More than the 60 s of common load balancers, so that they close first.
            idle_timeout: Duration::from_secs(75),
            // A modem of 1980 is faster.
            min_rate: 240,
            min_rate_grace: Duration::from_secs(30),
        }
    }
}
