//! Connections to one endpoint that wait for their next request.
//!
//! Invariant: a connection on a shelf has answered everything it was asked, completely; whatever is
//! in doubt is closed instead. Each worker has its own shelf, since a connection is driven by the
//! runtime that opened it, and so that workers never contend.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connect::Link;

/// The idle connections of one endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    shelves: Box<[Mutex<Vec<Idle>>]>,
}

#[derive(Debug)]
struct Idle {
    link: Link,
    since: Instant,
}

/// The most connections that one worker keeps idle per endpoint: as many as a busy worker has in
/// flight; beyond it a burst's connections are closed when it is over.
const MAX_IDLE: usize = 256;

/// How long a connection may lie unused. Shorter than what servers and middleboxes commonly allow,
/// so that it is we who close, and no request meets a connection that is just being closed.
const MAX_IDLE_TIME: Duration = Duration::from_secs(30);

impl Pool {
    /// Empty shelves for this many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            shelves: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The most recently used connection that is still good.
    pub(crate) fn take(&self, worker: usize, now: Instant) -> Option<Link> {
        let mut shelf = self.shelf(worker)?;
        while let Some(idle) = shelf.pop() {
            if now.duration_since(idle.since) > MAX_IDLE_TIME {
                // The rest has waited even longer.
                shelf.clear();
                return None;
            }
            if idle.link.is_ready() {
                return Some(idle.link);
            }
        }
        None
    }

    /// Puts a connection back that is ready for its next request.
    pub(crate) fn put(&self, worker: usize, link: Link, now: Instant) {
        let Some(mut shelf) = self.shelf(worker) else {
            return;
        };
        let expired = shelf
            .iter()
            .take_while(|idle| now.duration_since(idle.since) > MAX_IDLE_TIME)
            .count();
        shelf.drain(..expired);
        if shelf.len() < MAX_IDLE {
            shelf.push(Idle { link, since: now });
        }
    }

    /// How many connections lie here that could serve a request now.
    pub(crate) fn idle(&self) -> usize {
        (0..self.shelves.len())
            .filter_map(|worker| self.shelf(worker))
            .map(|shelf| shelf.iter().filter(|idle| idle.link.is_ready()).count())
            .sum()
    }

    fn shelf(&self, worker: usize) -> Option<std::sync::MutexGuard<'_, Vec<Idle>>> {
        let shelf = self.shelves.get(worker)?;
        Some(shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
