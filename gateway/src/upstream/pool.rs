//! Connections to one endpoint that wait for their next request.
//!
//! Invariant: a connection on a shelf has answered everything it was asked, completely; whatever is
//! in doubt is closed instead. Each worker has its own shelf, since a connection is driven by the
//! runtime that opened it, and so that workers never contend.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::link::{Http1, Link};
use super::multiplexed::Multiplexed;

/// The connections of one endpoint that can take a request.
#[derive(Debug)]
pub(crate) struct Pool {
    shelves: Box<[Mutex<Vec<Idle>>]>,
    /// Present where the endpoint may speak HTTP/2; those connections are not idle necessarily.
    multiplexed: Option<Box<[Arc<Multiplexed>]>>,
}

#[derive(Debug)]
struct Idle {
    link: Http1,
    since: Instant,
    /// Until then nobody uses it.
    rests_until: Instant,
}

/// The most connections that one worker keeps idle per endpoint: as many as a busy worker has in
/// flight; beyond it a burst's connections are closed when it is over.
const MAX_IDLE: usize = 256;

/// How long a connection may lie unused. Shorter than what servers and middleboxes commonly allow,
/// so that it is we who close, and no request meets a connection that is just being closed.
const MAX_IDLE_TIME: Duration = Duration::from_secs(30);

/// How long a connection rests whose endpoint may be closing it: a busy server comes to it by then, and of
/// an endpoint that refuses hundreds a second only some dozens of connections rest.
const REST: Duration = Duration::from_millis(200);

impl Pool {
    /// Empty shelves for this many workers.
    pub(crate) fn new(workers: usize, may_multiplex: bool) -> Self {
        let workers = workers.max(1);
        Self {
            shelves: (0..workers).map(|_| Mutex::default()).collect(),
            multiplexed: may_multiplex.then(|| (0..workers).map(|_| Arc::default()).collect()),
        }
    }

    /// The most recently used connection that is still good, or a place on a shared one.
    pub(crate) fn take(&self, worker: usize, now: Instant) -> Option<Link> {
        match self.take_idle(worker, now) {
            Some(link) => Some(Link::Http1(link)),
            None => self.multiplexed(worker)?.take(),
        }
    }

    /// The worker's shared connections, where there may be any.
    pub(crate) fn multiplexed(&self, worker: usize) -> Option<&Arc<Multiplexed>> {
        self.multiplexed.as_ref()?.get(worker)
    }

    fn take_idle(&self, worker: usize, now: Instant) -> Option<Http1> {
        let mut shelf = self.shelf(worker)?;
        for at in (0..shelf.len()).rev() {
            if now.duration_since(shelf[at].since) > MAX_IDLE_TIME {
                // Those before it have waited even longer.
                shelf.drain(..=at);
                return None;
            }
            if shelf[at].rests_until > now {
                continue;
            }
            let Idle { link, .. } = shelf.remove(at);
            if link.is_ready() {
                return Some(link);
            }
        }
        None
    }

    /// Puts a connection back that is ready for its next request; one that its endpoint `may_close`,
    /// although it did not say so, has to rest before.
    pub(crate) fn put(&self, worker: usize, link: Http1, may_close: bool) {
        let now = Instant::now();
        let Some(mut shelf) = self.shelf(worker) else {
            return;
        };
        let expired = shelf
            .iter()
            .take_while(|idle| now.duration_since(idle.since) > MAX_IDLE_TIME)
            .count();
        shelf.drain(..expired);
        if shelf.len() < MAX_IDLE {
            shelf.push(Idle {
                link,
                since: now,
                rests_until: if may_close { now + REST } else { now },
            });
        }
    }

    /// How many connections lie here that could serve a request now.
    pub(crate) fn idle(&self) -> usize {
        let shared = self.multiplexed.iter().flatten();
        let shared: usize = shared.map(|connections| connections.idle()).sum();
        let own: usize = (0..self.shelves.len())
            .filter_map(|worker| self.shelf(worker))
            .map(|shelf| shelf.iter().filter(|idle| idle.link.is_ready()).count())
            .sum();
        own + shared
    }

    fn shelf(&self, worker: usize) -> Option<std::sync::MutexGuard<'_, Vec<Idle>>> {
        let shelf = self.shelves.get(worker)?;
        Some(shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
