//! Follows the addresses behind an upstream's names: each address is an endpoint of its own.
//!
//! Invariant: an upstream always has an endpoint. Until a name was first resolved, the name itself is
//! one (each connection asks for its address); a resolver that fails changes nothing. An address that
//! stays keeps its connections, its health and its circuit.

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::endpoint::Peer;
use super::{Endpoint, Maker, Upstream};
use crate::config;

/// Finds the addresses of a name.
pub trait Resolve: Debug + Send + Sync {
    /// All addresses now, in any order.
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver: `/etc/hosts`, DNS, and whatever else it is told to ask.
#[derive(Debug)]
pub struct System;

/// More instances of one upstream than this are not told apart.
const MAX_ADDRESSES: usize = 256;

/// A resolver that needs longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

impl Resolve for System {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Follows the names of an upstream until it is gone.
pub(super) async fn follow(upstream: Weak<Upstream>, maker: Maker, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let names = match upstream.upgrade() {
            Some(upstream) => upstream.settings().endpoints.clone(),
            None => return,
        };
        for name in names {
            let found = addresses(&maker, &name).await;
            let Some(upstream) = upstream.upgrade() else {
                return;
            };
            match found {
                Ok(found) => replace(&upstream, &maker, &name, &found),
                Err(error) => tracing::warn!(
                    %error, endpoint = %name,
                    "a name is not resolved; its last addresses are kept"
                ),
            }
        }
    }
}

async fn addresses(maker: &Maker, name: &config::Endpoint) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = name.host.parse() {
        return Ok(vec![address]);
    }
    let resolving = maker.resolver.resolve(name.host.clone());
    let mut found = tokio::time::timeout(PATIENCE, resolving)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    found.sort_unstable();
    found.dedup();
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(found)
}

/// Puts the addresses in the place of those that the name had before.
fn replace(upstream: &Upstream, maker: &Maker, name: &config::Endpoint, found: &[IpAddr]) {
    let before = upstream.endpoints.load_full();
    let of_name = |endpoint: &&Arc<Endpoint>| endpoint.address() == name;
    let known: Vec<&Arc<Endpoint>> = before.iter().filter(of_name).collect();
    let has = |address: IpAddr| known.iter().any(|it| it.peer().at == Some(address));
    if known.len() == found.len() && found.iter().all(|address| has(*address)) {
        return;
    }
    tracing::info!(endpoint = %name, addresses = ?found, "a name has other addresses now");
    let is_first_time = known.iter().all(|endpoint| endpoint.peer().at.is_none());
    let others = before.iter().filter(|endpoint| !of_name(endpoint));
    let mut after: Vec<Arc<Endpoint>> = others.map(Arc::clone).collect();
    for address in found {
        let kept = known.iter().find(|it| it.peer().at == Some(*address));
        after.push(kept.map_or_else(
            || {
                let peer = Peer {
                    endpoint: name.clone(),
                    at: Some(*address),
                };
                let endpoint = maker.endpoint(peer, upstream);
                if !is_first_time {
                    endpoint.returned(Instant::now());
                }
                endpoint
            },
            |kept| Arc::clone(kept),
        ));
    }
    upstream.cap.of(after.len());
    upstream.endpoints.store(Arc::new(after));
}

#[cfg(test)]
mod tests;
