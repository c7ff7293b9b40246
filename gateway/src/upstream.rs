//! The backends: their endpoints, connections, load, health and breakers.
//!
//! Invariant: a reload replaces settings only. An endpoint that is declared as before keeps its
//! connections, its breaker, its health and its load; one that is gone finishes what it has.

mod balance;
pub mod breaker;
mod budget;
mod connect;
mod endpoint;
mod health;
mod link;
mod metrics;
mod multiplexed;
mod pool;
mod refused;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::id::UpstreamId;

use budget::RetryBudget;
pub(crate) use connect::{ConnectError, Dialer};
pub(crate) use endpoint::InFlight;
pub use endpoint::{Endpoint, EndpointSnapshot};
pub(crate) use link::{Broken, BrokenOff, Link, ResponseBody, SendError};
use refused::Refused;
pub use refused::RefusedSnapshot;
pub(crate) use tls::{Trust, is_server_name};

/// All upstreams of the current configuration.
#[derive(Debug)]
pub struct Upstreams {
    current: ArcSwap<BTreeMap<UpstreamId, Arc<Upstream>>>,
    /// How many workers have a shelf of idle connections in each endpoint.
    workers: usize,
    /// Where health checks run, so that they never delay a worker.
    background: Handle,
}

/// One backend.
#[derive(Debug)]
pub struct Upstream {
    id: UpstreamId,
    settings: config::Upstream,
    dialer: Dialer,
    endpoints: Vec<Arc<Endpoint>>,
    /// Survives a reload, as do the endpoints.
    load: Arc<AtomicUsize>,
    budget: Arc<RetryBudget>,
    fallbacks: Arc<RetryBudget>,
    refused: Arc<Refused>,
    /// The name as `X-Banyan-Upstream` has it.
    name: HeaderValue,
}

/// A place in an upstream's bulkhead, held until the response's last byte.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

/// The endpoint that takes an attempt, with the breaker's leave.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) in_flight: InFlight,
    pub(crate) permit: Option<breaker::Permit>,
}

/// Why no endpoint takes an attempt. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoEndpoint {
    /// All circuits are open.
    Open,
    /// All active checks fail.
    Unhealthy,
}

/// What to do when every active check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenUnhealthy {
    /// Refuse: there is another side that can answer.
    Refuse,
    /// Try all the same: the check may be what is broken, and nobody else can answer.
    TryAnyway,
}

/// An upstream at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamSnapshot {
    /// Its name.
    pub id: UpstreamId,
    /// Requests under way on all endpoints, those that wait for a connection included.
    pub in_flight: usize,
    /// The bulkhead's size, where there is one.
    pub max_in_flight: Option<u32>,
    /// Attempts that were not made since the process began.
    pub refused: RefusedSnapshot,
    /// Its instances.
    pub endpoints: Vec<EndpointSnapshot>,
}

impl Upstreams {
    /// Builds the upstreams of a configuration. Health checks run on `background`.
    pub fn new(config: &Config, workers: usize, background: Handle) -> Self {
        let upstreams = Self {
            current: ArcSwap::default(),
            workers,
            background,
        };
        upstreams.reconcile(config);
        upstreams
    }

    /// Takes over another configuration; what is declared as before stays as it is.
    pub fn reconcile(&self, config: &Config) {
        let before = self.current.load_full();
        let after = config
            .upstreams
            .iter()
            .map(|(id, settings)| {
                let upstream = match before.get(id) {
                    Some(old) if old.settings == *settings => Arc::clone(old),
                    old => Arc::new(self.build(id, settings, old.map(Arc::as_ref))),
                };
                (id.clone(), upstream)
            })
            .collect();
        self.current.store(Arc::new(after));
    }

    /// The upstream of this name.
    pub fn get(&self, id: &UpstreamId) -> Option<Arc<Upstream>> {
        self.current.load().get(id).cloned()
    }

    /// All upstreams now, for people.
    pub fn snapshot(&self) -> Vec<UpstreamSnapshot> {
        let now = Instant::now();
        self.current
            .load()
            .values()
            .map(|upstream| upstream.snapshot(now))
            .collect()
    }

    /// Ends the health checks; the process is going.
    pub fn stop(&self) {
        for upstream in self.current.load().values() {
            for endpoint in &upstream.endpoints {
                endpoint.stop_check();
            }
        }
    }

    fn build(
        &self,
        id: &UpstreamId,
        settings: &config::Upstream,
        old: Option<&Upstream>,
    ) -> Upstream {
        let same_kind = old.filter(|old| {
            old.settings.breaker == settings.breaker
                && old.settings.health == settings.health
                && old.settings.protocol == settings.protocol
                && old.settings.tls == settings.tls
        });
        let dialer = Dialer::new(settings);
        let endpoints = settings
            .endpoints
            .iter()
            .map(|address| {
                same_kind
                    .and_then(|old| old.endpoints.iter().find(|e| e.address() == address))
                    .map_or_else(|| self.endpoint(address, settings, &dialer), Arc::clone)
            })
            .collect();
        let budget = match old {
            Some(old) if old.settings.retry == settings.retry => Arc::clone(&old.budget),
            _ => Arc::new(RetryBudget::new(
                settings
                    .retry
                    .as_ref()
                    .map_or(0, |retry| u8::try_from(retry.budget_percent).unwrap_or(100)),
            )),
        };
        let fallbacks = match old {
            Some(old) if old.settings.fallback == settings.fallback => Arc::clone(&old.fallbacks),
            _ => Arc::new(RetryBudget::new(
                u8::try_from(settings.fallback.budget_percent).unwrap_or(100),
            )),
        };
        Upstream {
            id: id.clone(),
            settings: settings.clone(),
            dialer,
            endpoints,
            load: old.map(|old| Arc::clone(&old.load)).unwrap_or_default(),
            budget,
            fallbacks,
            refused: old.map(|old| Arc::clone(&old.refused)).unwrap_or_default(),
            name: HeaderValue::from_str(id.as_str())
                .unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }

    fn endpoint(
        &self,
        address: &config::Endpoint,
        settings: &config::Upstream,
        dialer: &Dialer,
    ) -> Arc<Endpoint> {
        let stop = settings.health.as_ref().map(|_| CancellationToken::new());
        let endpoint = Arc::new(Endpoint::new(
            address.clone(),
            settings.breaker.as_ref(),
            stop.clone(),
            self.workers,
            dialer.may_multiplex(address),
        ));
        if let (Some(health), Some(stop)) = (settings.health.clone(), stop) {
            let watched = Arc::downgrade(&endpoint);
            self.background
                .spawn(health::watch(watched, health, dialer.clone(), stop));
        }
        endpoint
    }
}

impl Upstream {
    /// Its name.
    pub fn id(&self) -> &UpstreamId {
        &self.id
    }

    /// What the configuration says about it.
    pub fn settings(&self) -> &config::Upstream {
        &self.settings
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(crate) fn name(&self) -> &HeaderValue {
        &self.name
    }

    /// Attempts in all that one request may make here.
    pub(crate) fn max_attempts(&self) -> u32 {
        self.settings
            .retry
            .as_ref()
            .map_or(1, |retry| retry.attempts.max(1))
    }

    /// How many endpoints there are to ask.
    pub(crate) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// A request came: it earns its share of a retry.
    pub(crate) fn earn_retry(&self) {
        self.budget.deposit();
    }

    /// Takes one retry out of the budget, if there is one.
    pub(crate) fn take_retry(&self) -> bool {
        let has_one = self.budget.withdraw();
        if !has_one {
            self.refused.retry_budget();
        }
        has_one
    }

    /// A request came that could fall back to this upstream: it earns its share of a fallback.
    pub(crate) fn earn_fallback(&self) {
        self.fallbacks.deposit();
    }

    /// True when a request that another upstream failed may be sent here. The upstream's own traffic
    /// comes first: a fallback is let in only while a part of the bulkhead is left to it, and as
    /// long as the budget has one.
    pub(crate) fn take_fallback(&self) -> bool {
        let share = self.settings.fallback.share_percent as usize;
        let has_room = self.settings.max_in_flight.is_none_or(|most| {
            let open = (most as usize * share / 100).max(1);
            self.load.load(Ordering::Relaxed) < open
        });
        if !has_room {
            self.refused.fallback_share();
            return false;
        }
        let has_one = self.fallbacks.withdraw();
        if !has_one {
            self.refused.fallback_budget();
        }
        has_one
    }

    /// How long a client should wait before it tries again while the circuit is open.
    pub(crate) fn retry_after(&self) -> Duration {
        self.settings
            .breaker
            .as_ref()
            .map_or(Duration::from_secs(1), |breaker| breaker.open_for)
    }

    /// A place in the bulkhead; `None` when it is full.
    pub(crate) fn enter(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.load));
        let before = self.load.fetch_add(1, Ordering::Relaxed);
        match self.settings.max_in_flight {
            // Dropping the place takes the count back.
            Some(most) if before >= most as usize => {
                self.refused.full();
                None
            }
            _ => Some(place),
        }
    }

    /// The endpoint for one attempt. `avoid` is the one that has just failed this request: it is
    /// taken again only where there is no other.
    pub(crate) fn choose(
        &self,
        now: Instant,
        when_unhealthy: WhenUnhealthy,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Chosen, NoEndpoint> {
        self.pick(now, when_unhealthy, avoid)
            .inspect_err(|why| self.refused.no_endpoint(*why))
    }

    fn pick(
        &self,
        now: Instant,
        when_unhealthy: WhenUnhealthy,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Chosen, NoEndpoint> {
        let any_healthy = self.endpoints.iter().any(|endpoint| endpoint.is_healthy());
        if !any_healthy && when_unhealthy == WhenUnhealthy::Refuse {
            return Err(NoEndpoint::Unhealthy);
        }
        let is_usable = |endpoint: &Arc<Endpoint>| {
            (endpoint.is_healthy() || !any_healthy) && endpoint.would_admit(now)
        };
        let is_other =
            |endpoint: &Arc<Endpoint>| avoid.is_none_or(|avoid| !Arc::ptr_eq(avoid, endpoint));
        let pick = |is_eligible: &dyn Fn(&Arc<Endpoint>) -> bool| {
            balance::choose(
                self.endpoints.len(),
                |index| is_eligible(&self.endpoints[index]),
                |index| self.endpoints[index].in_flight(),
                |below| rand::random_range(0..below),
            )
        };
        // Another request may take the one place of a half-open circuit between the look and the
        // admission; then the next usable endpoint is asked, each at most once.
        for _ in 0..self.endpoints.len() {
            let index = pick(&|endpoint| is_usable(endpoint) && is_other(endpoint))
                .or_else(|| pick(&is_usable))
                .ok_or(NoEndpoint::Open)?;
            let endpoint = &self.endpoints[index];
            if let Ok(permit) = endpoint.admit(now) {
                return Ok(Chosen {
                    in_flight: endpoint.enter(),
                    permit,
                });
            }
        }
        Err(NoEndpoint::Open)
    }

    fn snapshot(&self, now: Instant) -> UpstreamSnapshot {
        UpstreamSnapshot {
            id: self.id.clone(),
            in_flight: self.load.load(Ordering::Relaxed),
            max_in_flight: self.settings.max_in_flight,
            refused: self.refused.snapshot(),
            endpoints: self
                .endpoints
                .iter()
                .map(|endpoint| endpoint.snapshot(now))
                .collect(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
