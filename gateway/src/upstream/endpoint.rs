//! One instance of an upstream: its connections, its load, its health and its breaker.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::breaker::{self, Breaker, Cap, Permit};
use super::connect::{ConnectError, Dialer};
use super::link::Link;
use super::pool::Pool;
use super::warmth::Warmth;
use crate::config;

/// One instance. Lives as long as its settings stay the same, through any number of reloads.
#[derive(Debug)]
pub struct Endpoint {
    peer: Peer,
    breaker: Option<Arc<Breaker>>,
    warmth: Warmth,
    in_flight: AtomicUsize,
    is_healthy: AtomicBool,
    pool: Pool,
    /// Ends the health check when the endpoint is dropped.
    check: Option<(CancellationToken, DropGuard)>,
}

/// Who is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// As it was declared.
    pub(super) endpoint: config::Endpoint,
    /// The address of its name, where that was resolved beforehand.
    pub(super) at: Option<IpAddr>,
}

/// Counts one request towards its endpoint until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Endpoint>);

/// An endpoint at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSnapshot {
    /// `http://host:port` or `https://host:port`; with the address where the name has several.
    pub address: String,
    /// What the active check last said; true where there is none.
    pub healthy: bool,
    /// The circuit's phase; absent where there is no breaker.
    pub breaker: Option<breaker::Phase>,
    /// Times that it opened.
    pub breaker_opened: u64,
    /// Requests under way.
    pub in_flight: usize,
    /// Connections that wait for a request.
    pub idle_connections: usize,
}

impl Endpoint {
    pub(super) fn new(
        peer: Peer,
        breaker: Option<(&config::Breaker, Arc<Cap>)>,
        check: Option<CancellationToken>,
        workers: usize,
        may_multiplex: bool,
    ) -> Self {
        Self {
            peer,
            breaker: breaker.map(|(settings, cap)| {
                let policy = breaker::Policy {
                    failures: settings.failures,
                    window: settings.window,
                    open_for: settings.open_for,
                };
                Arc::new(Breaker::new(policy, cap))
            }),
            warmth: Warmth::default(),
            in_flight: AtomicUsize::new(0),
            is_healthy: AtomicBool::new(true),
            pool: Pool::new(workers, may_multiplex),
            check: check.map(|token| (token.clone(), token.drop_guard())),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &config::Endpoint {
        &self.peer.endpoint
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// It is back after it was out, or new: its share begins small where that is wanted.
    pub(crate) fn returned(&self, now: Instant) {
        self.warmth.returned(now);
    }

    /// Its share of the requests, of 1, where that grows over this time.
    pub(super) fn share(&self, now: Instant, over: Duration) -> f64 {
        self.warmth.share(now, over)
    }

    /// Its state now, for people.
    pub fn snapshot(&self, now: Instant) -> EndpointSnapshot {
        EndpointSnapshot {
            address: self.peer.to_string(),
            healthy: self.is_healthy(),
            breaker: self.breaker.as_ref().map(|breaker| breaker.phase(now)),
            breaker_opened: self.breaker.as_ref().map_or(0, |breaker| breaker.opened()),
            in_flight: self.in_flight(),
            idle_connections: self.pool.idle(),
        }
    }

    /// What the active check last said; true where there is none.
    pub fn is_healthy(&self) -> bool {
        self.is_healthy.load(Ordering::Relaxed)
    }

    pub(super) fn set_healthy(&self, is_healthy: bool) {
        self.is_healthy.store(is_healthy, Ordering::Relaxed);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn would_admit(&self, now: Instant) -> bool {
        self.breaker
            .as_ref()
            .is_none_or(|breaker| breaker.would_admit(now))
    }

    /// The breaker's leave to try, `Ok(None)` where there is no breaker.
    pub(super) fn admit(&self, now: Instant) -> Result<Option<Permit>, Refused> {
        match &self.breaker {
            None => Ok(None),
            Some(breaker) => breaker.admit(now).map(Some).ok_or(Refused),
        }
    }

    /// An answer that had begun broke off: its attempt's permit is settled already.
    pub(crate) fn broke_off(&self, now: Instant) {
        if let Some(breaker) = &self.breaker {
            breaker.broke_off(now);
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A new connection, or a place on a shared one that was opened meanwhile.
    pub(crate) async fn open(&self, worker: usize, dialer: &Dialer) -> Result<Link, ConnectError> {
        match self.pool.multiplexed(worker) {
            Some(shared) => shared.open(&self.peer, dialer).await,
            None => Ok(Link::of(dialer.open(&self.peer).await?)),
        }
    }

    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Ends the active check, if there is one.
    pub(super) fn stop_check(&self) {
        if let Some((token, _guard)) = &self.check {
            token.cancel();
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            // An address that was declared as one says it all.
            Some(address) if self.endpoint.host != address.to_string() => {
                write!(f, "{} ({address})", self.endpoint)
            }
            _ => fmt::Display::fmt(&self.endpoint, f),
        }
    }
}

/// The circuit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

impl InFlight {
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
