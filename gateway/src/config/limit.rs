//! How many requests a route takes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Rate, Secret};

/// A rate limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Whose requests are counted together.
    pub per: RateKey,
    /// The steady rate.
    pub rate: Rate,
    /// How many may come at once.
    pub burst: u32,
    /// The NATS servers through which gateways count together; absent: each by itself.
    pub shared: Option<Secret>,
}

impl RateLimit {
    /// After how long one more may come.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.rate.per / self.rate.count
    }

    pub(super) fn declaration(&self) -> Value {
        json!({
            "per": match self.per {
                RateKey::Subject => "subject",
                RateKey::Ip => "ip",
                RateKey::Route => "route",
            },
            "count": self.rate.count,
            "periodSeconds": self.rate.per.as_secs(),
            "burst": self.burst,
            "shared": self.shared.is_some(),
        })
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateKey {
    /// Whose token or session it is (`sub`), else the client's address.
    Subject,
    /// The client's address.
    Ip,
    /// Everybody.
    Route,
}
