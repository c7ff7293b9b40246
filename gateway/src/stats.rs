//! What was counted: requests, outcomes and latencies of each route and side.
//!
//! Invariant: recording takes no lock and allocates nothing after a side's first request, since it
//! happens on every request; reading may be slow. Counters only grow for the process's life, so
//! that whoever judges a stretch of time subtracts two snapshots.

mod clients;
mod histogram;
mod metrics;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use http::StatusCode;
use serde::Serialize;

pub(crate) use clients::{Clients, Connection, Ended};
pub use histogram::{Histogram, LatencySnapshot};

use crate::flag::Side;
use crate::id::RouteId;
use crate::identity::SessionCounts;
use crate::load::Load;

/// All routes' counters, for the process's life: a route that is reconfigured keeps its numbers.
#[derive(Debug, Default)]
pub struct Stats {
    routes: DashMap<RouteId, Arc<RouteStats>>,
    unmatched: AtomicU64,
    clients: Arc<Clients>,
    sessions: Arc<SessionCounts>,
    load: Load,
}

/// One route's counters.
#[derive(Debug, Default)]
pub struct RouteStats {
    legacy: SideStats,
    candidate: SideStats,
    refused: Refusals,
    counted_alone: AtomicU64,
    left_plain: AtomicU64,
}

/// One side's counters.
#[derive(Debug, Default)]
struct SideStats {
    by_class: [AtomicU64; 5],
    failures: AtomicU64,
    retries: AtomicU64,
    fallbacks: AtomicU64,
    latency: OnceLock<Box<Histogram>>,
}

/// What the gateway answered itself, before a side was chosen.
#[derive(Debug, Default)]
struct Refusals {
    unauthenticated: AtomicU64,
    forbidden: AtomicU64,
    limited: AtomicU64,
    preflights: AtomicU64,
    other: AtomicU64,
}

/// A route's counters at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSnapshot {
    /// What legacy served.
    pub legacy: SideSnapshot,
    /// What the candidate served.
    pub candidate: SideSnapshot,
    /// Answered 401 by the gateway.
    pub unauthenticated: u64,
    /// Answered 403 by the gateway.
    pub forbidden: u64,
    /// Answered 429 by the gateway: the route's rate limit.
    pub limited: u64,
    /// Questions of browsers that the gateway answered (the route's `cors`).
    pub preflights: u64,
    /// Counted by this gateway alone, since the shared counts of the limit could not be had.
    pub counted_alone: u64,
    /// Answers that would have been compressed, had there been room for one more encoder.
    pub left_plain: u64,
    /// Refused by the gateway for another reason (400, 413 …).
    pub refused: u64,
}

/// A side's counters at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SideSnapshot {
    /// Answers that clients got from this side (or for it, when it could not be reached).
    pub requests: u64,
    /// The same by the status's class: `2xx` …
    pub by_class: BTreeMap<&'static str, u64>,
    /// Attempts that failed by DESIGN.md's rule, whatever the client got in the end.
    pub failures: u64,
    /// Attempts beyond a request's first on this side.
    pub retries: u64,
    /// Requests chosen for this side that the other side answered.
    pub fallbacks: u64,
    /// Time to the response's head.
    pub latency: LatencySnapshot,
}

impl Stats {
    /// The counters of a route, made on first use.
    pub fn route(&self, id: &RouteId) -> Arc<RouteStats> {
        if let Some(stats) = self.routes.get(id) {
            return Arc::clone(&stats);
        }
        Arc::clone(&self.routes.entry(id.clone()).or_default())
    }

    /// A request that no route takes.
    pub fn record_unmatched(&self) {
        self.unmatched.fetch_add(1, Ordering::Relaxed);
    }

    /// What is counted of clients' connections.
    pub(crate) fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.clients.open()
    }

    /// The requests under way.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// What became of the questions about sessions.
    pub fn sessions(&self) -> &Arc<SessionCounts> {
        &self.sessions
    }

    /// How many requests no route took.
    pub fn unmatched(&self) -> u64 {
        self.unmatched.load(Ordering::Relaxed)
    }

    /// All routes that ever had a request or were configured.
    pub fn snapshot(&self) -> BTreeMap<RouteId, RouteSnapshot> {
        self.routes
            .iter()
            .map(|entry| (entry.key().clone(), entry.value().snapshot()))
            .collect()
    }
}

impl RouteStats {
    /// A client got this answer from this side, its head after `elapsed`.
    pub fn record(&self, side: Side, status: StatusCode, elapsed: Duration) {
        let stats = self.side(side);
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        stats.by_class[class].fetch_add(1, Ordering::Relaxed);
        stats.latency.get_or_init(Box::default).record(elapsed);
    }

    /// An attempt on this side failed.
    pub fn record_failure(&self, side: Side) {
        self.side(side).failures.fetch_add(1, Ordering::Relaxed);
    }

    /// This side is tried once more.
    pub fn record_retry(&self, side: Side) {
        self.side(side).retries.fetch_add(1, Ordering::Relaxed);
    }

    /// A request chosen for `from` goes to the other side.
    pub fn record_fallback(&self, from: Side) {
        self.side(from).fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// The gateway answered by itself.
    pub fn record_refusal(&self, status: StatusCode) {
        let counter = match status {
            StatusCode::UNAUTHORIZED => &self.refused.unauthenticated,
            StatusCode::FORBIDDEN => &self.refused.forbidden,
            StatusCode::TOO_MANY_REQUESTS => &self.refused.limited,
            _ => &self.refused.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The gateway answered a browser's question about another origin.
    pub(crate) fn record_preflight(&self) {
        self.refused.preflights.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was counted without the other gateways.
    pub(crate) fn record_counted_alone(&self) {
        self.counted_alone.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer goes out as it is, since too many are being compressed.
    pub(crate) fn record_left_plain(&self) {
        self.left_plain.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn snapshot(&self) -> RouteSnapshot {
        RouteSnapshot {
            legacy: self.legacy.snapshot(),
            candidate: self.candidate.snapshot(),
            unauthenticated: self.refused.unauthenticated.load(Ordering::Relaxed),
            forbidden: self.refused.forbidden.load(Ordering::Relaxed),
            limited: self.refused.limited.load(Ordering::Relaxed),
            preflights: self.refused.preflights.load(Ordering::Relaxed),
            counted_alone: self.counted_alone.load(Ordering::Relaxed),
            left_plain: self.left_plain.load(Ordering::Relaxed),
            refused: self.refused.other.load(Ordering::Relaxed),
        }
    }

    fn side(&self, side: Side) -> &SideStats {
        match side {
            Side::Legacy => &self.legacy,
            Side::Candidate => &self.candidate,
        }
    }
}

impl SideStats {
    fn snapshot(&self) -> SideSnapshot {
        let by_class: BTreeMap<&'static str, u64> = CLASSES
            .iter()
            .zip(&self.by_class)
            .map(|(class, count)| (*class, count.load(Ordering::Relaxed)))
            .collect();
        SideSnapshot {
            requests: by_class.values().sum(),
            by_class,
            failures: self.failures.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
            latency: self
                .latency
                .get()
                .map(|histogram| histogram.snapshot())
                .unwrap_or_default(),
        }
    }
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_counts_for_itself() {
        let stats = Stats::default();
        let route = stats.route(&"answers".parse().unwrap());
        route.record(Side::Legacy, StatusCode::OK, Duration::from_millis(2));
        route.record(
            Side::Candidate,
            StatusCode::CREATED,
            Duration::from_millis(4),
        );
        route.record(
            Side::Candidate,
            StatusCode::BAD_GATEWAY,
            Duration::from_millis(8),
        );
        route.record_failure(Side::Candidate);
        route.record_fallback(Side::Candidate);
        route.record_refusal(StatusCode::FORBIDDEN);
        let snapshot = &stats.snapshot()[&"answers".parse::<RouteId>().unwrap()];
        assert_eq!(snapshot.legacy.requests, 1);
        assert_eq!(snapshot.candidate.requests, 2);
        assert_eq!(snapshot.candidate.by_class["5xx"], 1);
        assert_eq!(
            (snapshot.candidate.failures, snapshot.candidate.fallbacks),
            (1, 1)
        );
        assert_eq!(snapshot.forbidden, 1);
        assert_eq!(snapshot.candidate.latency.count, 2);
    }

    #[test]
    fn a_route_keeps_its_counters_when_it_is_looked_up_again() {
        let stats = Stats::default();
        let id: RouteId = "a".parse().unwrap();
        stats.route(&id).record_retry(Side::Legacy);
        assert_eq!(stats.route(&id).snapshot().legacy.retries, 1);
    }
}
