use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::NoEndpoint;

/// Attempts that were not made, for the process's life.
#[derive(Debug, Default)]
pub(super) struct Refused {
    full: AtomicU64,
    open: AtomicU64,
    unhealthy: AtomicU64,
    retry_budget: AtomicU64,
    fallback_share: AtomicU64,
    fallback_budget: AtomicU64,
}

/// Attempts that were not made, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedSnapshot {
    /// The bulkhead was full.
    pub full: u64,
    /// All circuits were open.
    pub open: u64,
    /// All health checks failed, and there was another side to ask.
    pub unhealthy: u64,
    /// A retry would have been right, but the budget was empty.
    pub retry_budget: u64,
    /// A fallback would have been right, but the rest of the bulkhead is for own traffic.
    pub fallback_share: u64,
    /// A fallback would have been right, but their budget was empty.
    pub fallback_budget: u64,
}

impl Refused {
    pub(super) fn full(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn no_endpoint(&self, why: NoEndpoint) {
        let counter = match why {
            NoEndpoint::Open => &self.open,
            NoEndpoint::Unhealthy => &self.unhealthy,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retry_budget(&self) {
        self.retry_budget.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fallback_share(&self) {
        self.fallback_share.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fallback_budget(&self) {
        self.fallback_budget.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> RefusedSnapshot {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RefusedSnapshot {
            full: count(&self.full),
            open: count(&self.open),
            unhealthy: count(&self.unhealthy),
            retry_budget: count(&self.retry_budget),
            fallback_share: count(&self.fallback_share),
            fallback_budget: count(&self.fallback_budget),
        }
    }
}
