//! One client's connection as those who serve it know it: its place, since when it is idle, and its
//! limits.
//!
//! Invariant: whoever holds the socket holds this, and so the place, also after a switch of protocols,
//! when the server itself is done with the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::places::Place;
use crate::config::Limits;
use crate::pace::LeastRate;
use crate::stats::Clients;

/// A connection, shared by its parts.
#[derive(Debug)]
pub(super) struct Client {
    began: Instant,
    /// Under way: from the head to the answer's last byte.
    requests: AtomicUsize,
    /// Milliseconds after `began`.
    idle_since: AtomicU64,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) least_rate: LeastRate,
    pub(super) counts: Arc<Clients>,
    _place: Place,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Active(Arc<Client>);

impl Client {
    pub(super) fn new(limits: &Limits, counts: Arc<Clients>, place: Place) -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            least_rate: LeastRate {
                rate: limits.min_rate,
                grace: limits.min_rate_grace,
            },
            counts,
            _place: place,
        }
    }

    /// A request begins.
    pub(super) fn active(self: &Arc<Self>) -> Active {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// When an idle connection is to be closed; `None` while a request is under way.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        if self.requests.load(Ordering::Acquire) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        Some(self.began + since + self.idle_timeout)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let elapsed = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since.store(elapsed, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Release);
    }
}
