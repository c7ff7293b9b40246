//! Rate limits of routes: whose requests are counted together, and who has sent too many.
//!
//! Invariants: a limiter outlives reloads for as long as its route's setting stays the same, so that
//! an edit of the file gives nobody a second burst; it remembers a bounded number of keys
//! ([`MAX_KEYS`]), whatever clients make up; a route without a limit has nothing of all this.

mod local;
mod pace;
mod shared;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::MonotonicClock;
use http::HeaderValue;
use tokio::runtime::Handle;

use crate::config::{self, RateLimit};
use crate::id::RouteId;
use crate::table::Table;
use local::Local;
use pace::Pace;
use shared::{Places, Shared};

/// How many keys a route's limiter remembers. Beyond, the one that was not seen for longest is
/// forgotten, and begins anew when it comes back: the memory of a route stays within a few MiB.
pub(crate) const MAX_KEYS: usize = 64 * 1024;

/// All routes' limiters, for the process's life.
#[derive(Debug)]
pub(crate) struct Limits {
    routes: DashMap<RouteId, Arc<RouteLimit>>,
    places: Places,
}

/// One route's limiter.
#[derive(Debug)]
pub(crate) struct RouteLimit {
    setting: RateLimit,
    name: String,
    local: Local<MonotonicClock>,
    shared: Option<Shared>,
    policy: HeaderValue,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who<'a> {
    /// Whose token or session it is.
    Subject(&'a str),
    /// A client by its address.
    Address(IpAddr),
    /// Everybody on the route.
    Everybody,
}

/// Whether a request may go on, and what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_allowed: bool,
    /// How many more may come at once.
    pub(crate) remaining: u32,
    /// Until all of the burst is there again; for who is refused, until the next one may come.
    pub(crate) resets: Duration,
}

/// What the client is told of its limit.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) policy: HeaderValue,
    pub(crate) state: HeaderValue,
}

/// Who counted a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountedBy {
    /// As the setting says.
    All,
    /// This gateway alone, since the shared counts could not be had.
    Alone,
}

impl Limits {
    /// None yet. Shared counts are connected to on `background`.
    pub(crate) fn new(background: Handle) -> Self {
        Self {
            routes: DashMap::new(),
            places: Places::new(background),
        }
    }

    /// The limiter of a route that has one: the one from before where its setting is the same.
    pub(crate) fn of(&self, route: &config::Route) -> Option<Arc<RouteLimit>> {
        let setting = route.rate_limit.as_ref()?;
        let known = self.routes.get(&route.id).map(|known| Arc::clone(&known));
        if let Some(known) = known.filter(|known| known.setting == *setting) {
            return Some(known);
        }
        let made = Arc::new(RouteLimit::new(&route.id, setting, &self.places)?);
        self.routes.insert(route.id.clone(), Arc::clone(&made));
        Some(made)
    }

    /// Forgets the limiters of routes that are gone, or have none any more.
    pub(crate) fn keep_only(&self, table: &Table) {
        if self.routes.is_empty() {
            return;
        }
        let limited = table.routes().iter();
        let limited = limited.filter(|route| route.config.rate_limit.is_some());
        let kept: HashSet<&RouteId> = limited.map(|route| &route.id).collect();
        self.routes.retain(|id, _| kept.contains(id));
    }
}

impl RouteLimit {
    /// `None` for a setting that no valid configuration has.
    fn new(id: &RouteId, setting: &RateLimit, places: &Places) -> Option<Self> {
        let shared = setting.shared.as_ref().map(|url| {
            let scope = format!(
                "{id} {:?} {:?} {}",
                setting.per, setting.rate, setting.burst
            );
            places.at(url, scope, setting.interval() * setting.burst)
        });
        let local = Local::new(setting, MonotonicClock)?;
        let window = whole_seconds(setting.interval() * setting.burst);
        let (name, quota) = (id.as_str(), setting.burst);
        let policy = format!("\"{name}\";q={quota};w={window}");
        Some(Self {
            setting: setting.clone(),
            name: name.to_owned(),
            local,
            shared,
            policy: HeaderValue::from_str(&policy).ok()?,
        })
    }

    /// What is counted together.
    pub(crate) fn setting(&self) -> &RateLimit {
        &self.setting
    }

    /// Counts a request.
    pub(crate) async fn check(&self, who: Who<'_>) -> (Verdict, CountedBy) {
        let who = who.counted();
        let Some(shared) = &self.shared else {
            return (self.local.check(who), CountedBy::All);
        };
        let now = crate::proxy::since_epoch();
        match shared.check(&who.key(), Pace::of(&self.setting), now).await {
            Some(verdict) => (verdict, CountedBy::All),
            None => (self.local.check(who), CountedBy::Alone),
        }
    }

    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): the quota is the
    /// burst, the window the time in which all of it comes back.
    pub(crate) fn told(&self, verdict: Verdict) -> Option<Told> {
        let (name, remaining) = (&self.name, verdict.remaining);
        let resets = whole_seconds(verdict.resets);
        let state = format!("\"{name}\";r={remaining};t={resets}");
        Some(Told {
            policy: self.policy.clone(),
            state: HeaderValue::from_str(&state).ok()?,
        })
    }
}

impl Who<'_> {
    /// With a client's addresses counted as the one client.
    fn counted(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(network(address)),
            other => other,
        }
    }

    /// The same on all gateways.
    fn key(self) -> String {
        match self {
            Self::Subject(subject) => format!("subject {subject}"),
            Self::Address(address) => format!("address {address}"),
            Self::Everybody => "everybody".to_owned(),
        }
    }
}

/// A client by its address. An IPv6 client has a network of its own: whoever counted its addresses would
/// count nothing.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            std::net::Ipv6Addr::from_bits(network).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Rounded up: who comes back then is not too early.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Rate, RateKey};

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let of = |text: &str| Who::Address(text.parse().unwrap()).counted();
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    /// Says what it is told to, or nothing at all.
    #[derive(Debug)]
    struct Told(Option<Result<u32, fn() -> shared::Unavailable>>);

    #[async_trait::async_trait]
    impl shared::Limiter for Told {
        async fn check(
            &self,
            _key: &str,
            _pace: Pace,
            _now: Duration,
        ) -> Result<Verdict, shared::Unavailable> {
            match self.0 {
                None => std::future::pending().await,
                Some(Err(why)) => Err(why()),
                Some(Ok(remaining)) => Ok(Verdict {
                    is_allowed: true,
                    remaining,
                    resets: Duration::ZERO,
                }),
            }
        }

        fn remembers_for(&self, _refill: Duration) {}
    }

    fn gone() -> shared::Unavailable {
        shared::Unavailable::All("gone".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn counts_that_are_gone_or_slow_leave_this_gateway_to_count_alone() {
        let setting = RateLimit {
            per: RateKey::Route,
            rate: Rate {
                count: 1,
                per: Duration::from_secs(3600),
            },
            burst: 2,
            shared: None,
        };
        let places = Places::new(Handle::current());
        for (told, by) in [
            (Told(Some(Ok(7))), CountedBy::All),
            (Told(Some(Err(gone))), CountedBy::Alone),
            (Told(None), CountedBy::Alone),
        ] {
            let mut limit = RouteLimit::new(&"a".parse().unwrap(), &setting, &places).unwrap();
            limit.shared = Some(Shared::of(told));
            let mut allowed = 0;
            for _ in 0..5 {
                let (verdict, counted) = limit.check(Who::Everybody).await;
                assert_eq!(counted, by);
                allowed += u32::from(verdict.is_allowed);
            }
            // Alone it still limits, and does not wait for each request anew.
            assert_eq!(allowed, if by == CountedBy::All { 5 } else { 2 });
        }
    }

    #[tokio::test]
    async fn the_client_is_told_the_burst_and_when_it_is_back() {
        let setting = RateLimit {
            per: RateKey::Ip,
            rate: Rate {
                count: 50,
                per: Duration::from_secs(1),
            },
            burst: 120,
            shared: None,
        };
        let places = Places::new(Handle::current());
        let limit = RouteLimit::new(&"answers".parse().unwrap(), &setting, &places).unwrap();
        let (verdict, by) = limit.check(Who::Everybody).await;
        assert_eq!(by, CountedBy::All);
        let told = limit.told(verdict).unwrap();
        assert_eq!(told.policy, "\"answers\";q=120;w=3");
        assert_eq!(told.state, "\"answers\";r=119;t=1");
    }
}
