//! One worker's HTTP/2 connections to one endpoint.
//!
//! Invariant: a connection is here exactly as long as further requests may go over it. One is opened
//! when the others have no room; one at a time, so that a burst does not open one for each request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::connect::{ConnectError, Dialer, Opened};
use super::endpoint::Peer;
use super::link::{Connection, Link};

/// The connections to which requests are given.
#[derive(Debug, Default)]
pub(crate) struct Multiplexed {
    connections: Mutex<Vec<Connection>>,
    /// Held by the one that opens a connection.
    opening: tokio::sync::Mutex<()>,
    /// What the endpoint chose last: HTTP/1.1 has a connection for each request.
    speaks_http1: AtomicBool,
}

/// The most connections per worker and endpoint. Where all are full, further streams wait on them for
/// the endpoint's leave; how many may, `max_in_flight` says.
const MAX_CONNECTIONS: usize = 8;

/// How often a connection is looked at, to see whether it is still in use …
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// … and in how many looks in a row it was not, before it is closed.
const IDLE_LOOKS: u32 = 3;

impl Multiplexed {
    /// A place on a connection that has room.
    pub(crate) fn take(&self) -> Option<Link> {
        let mut connections = self.lock();
        connections.retain_mut(Connection::is_open);
        let with_room = connections.iter().find(|connection| connection.has_room());
        let chosen = match with_room {
            Some(connection) => connection,
            None if connections.len() < MAX_CONNECTIONS => return None,
            None => connections
                .iter()
                .min_by_key(|connection| connection.load().streams())?,
        };
        Some(Link::Http2(chosen.stream()))
    }

    /// A place on a new connection, or on one that somebody else has opened meanwhile.
    pub(super) async fn open(
        self: &Arc<Self>,
        peer: &Peer,
        dialer: &Dialer,
    ) -> Result<Link, ConnectError> {
        let _one = if self.speaks_http1.load(Ordering::Relaxed) {
            None
        } else {
            Some(dialer.in_time(self.opening.lock()).await?)
        };
        if let Some(link) = self.take() {
            return Ok(link);
        }
        let opened = dialer.open(peer).await?;
        let speaks_http1 = matches!(opened, Opened::Http1(_));
        self.speaks_http1.store(speaks_http1, Ordering::Relaxed);
        Ok(match opened {
            Opened::Http1(connection) => Link::Http1(connection),
            Opened::Http2(connection) => self.adopt(connection),
        })
    }

    /// How many connections lie here without an exchange.
    pub(crate) fn idle(&self) -> usize {
        let mut connections = self.lock();
        connections.retain_mut(Connection::is_open);
        let is_idle = |connection: &&Connection| connection.load().streams() == 0;
        connections.iter().filter(is_idle).count()
    }

    fn adopt(self: &Arc<Self>, connection: Connection) -> Link {
        let link = Link::Http2(connection.stream());
        let load = Arc::clone(connection.load());
        tokio::spawn(close_when_idle(Arc::downgrade(self), load));
        self.lock().push(connection);
        link
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a connection away once it was not used for a while: with its last sender gone it says
/// goodbye and closes.
async fn close_when_idle(shelf: Weak<Multiplexed>, load: Arc<super::link::Load>) {
    let mut served = load.served();
    let mut idle_looks = 0;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shelf) = shelf.upgrade() else {
            return;
        };
        // Exchanges begin under this lock only: none can begin between the look and the removal.
        let mut connections = shelf.lock();
        let is_this = |connection: &Connection| Arc::ptr_eq(connection.load(), &load);
        if !connections.iter().any(is_this) {
            return;
        }
        let is_unused = load.streams() == 0 && load.served() == served;
        served = load.served();
        idle_looks = if is_unused { idle_looks + 1 } else { 0 };
        if idle_looks >= IDLE_LOOKS {
            connections.retain(|connection| !is_this(connection));
            return;
        }
    }
}
