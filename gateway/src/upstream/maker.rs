//! Makes the endpoints of upstreams, with what they need of the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::endpoint::Peer;
use super::resolve::{self, Resolve};
use super::{Endpoint, Upstream, health};
use crate::config;

/// What endpoints need.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    /// How many workers have a shelf of idle connections in each endpoint.
    pub(super) workers: usize,
    /// Where health checks and the resolver run, so that they never delay a worker.
    pub(super) background: Handle,
    pub(super) resolver: Arc<dyn Resolve>,
}

impl Maker {
    /// Gives an upstream its endpoints: those of the one before it that are declared as they were,
    /// and new ones; follows the addresses of their names where that is wanted.
    pub(super) fn furnish(&self, upstream: &Arc<Upstream>, before: Option<&Upstream>) {
        let every = upstream.settings().resolve;
        let known = before.map(|before| before.endpoints.load_full());
        let known = known.iter().flat_map(|known| known.iter());
        let known: Vec<&Arc<Endpoint>> = known
            .filter(|it| it.peer().at.is_none() || every.is_some())
            .collect();
        let mut endpoints = Vec::new();
        for address in &upstream.settings().endpoints {
            let of_name = |it: &&&Arc<Endpoint>| it.address() == address;
            let kept = known.iter().filter(of_name).map(|it| Arc::clone(it));
            let count = endpoints.len();
            endpoints.extend(kept);
            if endpoints.len() == count {
                let peer = Peer {
                    endpoint: address.clone(),
                    at: None,
                };
                endpoints.push(self.endpoint(peer, upstream));
            }
        }
        upstream.cap.of(endpoints.len());
        upstream.endpoints.store(Arc::new(endpoints));
        if let Some(every) = every {
            self.follow(upstream, every);
        }
        if let Some(following) = upstream.dialer.following() {
            self.background.spawn(following);
        }
    }

    /// A new endpoint, and its check.
    pub(super) fn endpoint(&self, peer: Peer, upstream: &Upstream) -> Arc<Endpoint> {
        let settings: &config::Upstream = upstream.settings();
        let stop = settings.health.as_ref().map(|_| CancellationToken::new());
        let may_multiplex = upstream.dialer.may_multiplex(&peer.endpoint);
        let breaker = settings.breaker.as_ref();
        let endpoint = Arc::new(Endpoint::new(
            peer,
            breaker.map(|breaker| (breaker, Arc::clone(&upstream.cap))),
            stop.clone(),
            self.workers,
            may_multiplex,
        ));
        if let (Some(health), Some(stop)) = (settings.health.clone(), stop) {
            let watched = Arc::downgrade(&endpoint);
            let dialer = upstream.dialer.clone();
            self.background
                .spawn(health::watch(watched, health, dialer, stop));
        }
        endpoint
    }

    fn follow(&self, upstream: &Arc<Upstream>, every: Duration) {
        let followed = Arc::downgrade(upstream);
        self.background
            .spawn(resolve::follow(followed, self.clone(), every));
    }
}
