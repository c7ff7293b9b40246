//! The backends: their endpoints, connections, load, health and breakers.
//!
//! Invariant: a reload replaces settings only. An endpoint that is declared as before keeps its
//! connections, its breaker, its health and its load; one that is gone finishes what it has.

mod balance;
pub mod breaker;
mod budget;
mod bulkhead;
mod connect;
mod endpoint;
mod fallback;
mod health;
mod link;
mod maker;
mod metrics;
mod multiplexed;
mod pick;
mod pool;
mod refused;
mod resolve;
mod tls;
mod warmth;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use serde::Serialize;
use tokio::runtime::Handle;

use crate::config::{self, Config};
use crate::id::UpstreamId;

use breaker::Cap;
use budget::RetryBudget;
use bulkhead::Bulkhead;
pub(crate) use bulkhead::Place;
pub(crate) use connect::ConnectError;
use connect::Dialer;
pub(crate) use endpoint::InFlight;
pub use endpoint::{Endpoint, EndpointSnapshot};
pub(crate) use link::{Broken, BrokenOff, Link, ResponseBody, SendError};
use maker::Maker;
use refused::Refused;
pub use refused::RefusedSnapshot;
pub use resolve::{Resolve, System};
pub(crate) use tls::{check as check_tls, is_server_name};

/// All upstreams of the current configuration.
#[derive(Debug)]
pub struct Upstreams {
    current: ArcSwap<BTreeMap<UpstreamId, Arc<Upstream>>>,
    maker: Maker,
}

/// One backend.
#[derive(Debug)]
pub struct Upstream {
    id: UpstreamId,
    settings: config::Upstream,
    dialer: Dialer,
    /// Replaced as a whole where names are followed.
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Survives a reload, as do the endpoints.
    bulkhead: Arc<Bulkhead>,
    cap: Arc<Cap>,
    budget: Arc<RetryBudget>,
    fallbacks: Arc<RetryBudget>,
    refused: Arc<Refused>,
    /// The name as `X-Banyan-Upstream` has it.
    name: HeaderValue,
}

/// The endpoint that takes an attempt, with the breaker's leave.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) in_flight: InFlight,
    pub(crate) permit: Option<breaker::Permit>,
}

/// Why there is no place in the bulkhead. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// It is full, and so is the queue, or nothing became free while one may wait.
    Full,
    /// The request's deadline passed in the queue.
    Late,
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
    /// Requests that wait for a place in the bulkhead.
    pub waiting: usize,
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
        Self::with_resolver(config, workers, background, Arc::new(System))
    }

    /// As [`Upstreams::new`], with names resolved by somebody else.
    pub fn with_resolver(
        config: &Config,
        workers: usize,
        background: Handle,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        let upstreams = Self {
            current: ArcSwap::default(),
            maker: Maker {
                workers,
                background,
                resolver,
            },
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
                    old => self.build(id, settings, old.map(Arc::as_ref)),
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
            for endpoint in upstream.endpoints.load().iter() {
                endpoint.stop_check();
            }
        }
    }

    fn build(
        &self,
        id: &UpstreamId,
        settings: &config::Upstream,
        old: Option<&Upstream>,
    ) -> Arc<Upstream> {
        let same_kind = old.filter(|old| {
            old.settings.breaker == settings.breaker
                && old.settings.health == settings.health
                && old.settings.protocol == settings.protocol
                && old.settings.tls == settings.tls
                && old.settings.header_case == settings.header_case
        });
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
        let upstream = Arc::new(Upstream {
            id: id.clone(),
            settings: settings.clone(),
            dialer: Dialer::new(settings),
            endpoints: ArcSwap::default(),
            bulkhead: old.map(|old| Arc::clone(&old.bulkhead)).unwrap_or_default(),
            cap: same_kind.map_or_else(
                || Arc::new(Cap::new(settings.max_open_percent())),
                |old| Arc::clone(&old.cap),
            ),
            budget,
            fallbacks,
            refused: old.map(|old| Arc::clone(&old.refused)).unwrap_or_default(),
            name: HeaderValue::from_str(id.as_str())
                .unwrap_or_else(|_| HeaderValue::from_static("")),
        });
        self.maker.furnish(&upstream, same_kind);
        upstream
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
        self.endpoints.load().len()
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

    /// How long a client should wait before it tries again while the circuit is open.
    pub(crate) fn retry_after(&self) -> Duration {
        self.settings
            .breaker
            .as_ref()
            .map_or(Duration::from_secs(1), |breaker| breaker.open_for)
    }

    /// A place in the bulkhead, waiting for one where that is allowed, and no longer than until
    /// `deadline`.
    pub(crate) async fn enter(&self, deadline: Option<Instant>) -> Result<Place, NoPlace> {
        let most = self.settings.max_in_flight;
        if let Some(place) = self.bulkhead.enter(most) {
            return Ok(place);
        }
        let place = match &self.settings.queue {
            None => None,
            Some(queue) => {
                let waiting = self.bulkhead.wait(most, queue);
                match deadline {
                    None => waiting.await,
                    Some(deadline) => tokio::time::timeout_at(deadline.into(), waiting)
                        .await
                        .map_err(|_| NoPlace::Late)?,
                }
            }
        };
        place.ok_or_else(|| {
            self.refused.full();
            NoPlace::Full
        })
    }

    fn snapshot(&self, now: Instant) -> UpstreamSnapshot {
        UpstreamSnapshot {
            id: self.id.clone(),
            in_flight: self.bulkhead.load(),
            waiting: self.bulkhead.waiting(),
            max_in_flight: self.settings.max_in_flight,
            refused: self.refused.snapshot(),
            endpoints: self
                .endpoints
                .load()
                .iter()
                .map(|endpoint| endpoint.snapshot(now))
                .collect(),
        }
    }
}
