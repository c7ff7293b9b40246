//! The active check of one endpoint: a GET at an interval, on a connection of its own, which is opened
//! as those of the requests are: the same protocol, the same trust.
//!
//! Invariant: an endpoint starts as healthy, goes down after [`FALL`] failed checks in a row and
//! comes back with the first good one. A check that hangs counts as failed after its interval.

use std::sync::Weak;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, header};
use tokio_util::sync::CancellationToken;

use super::connect::Dialer;
use super::endpoint::{Endpoint, Peer};
use super::link::Link;
use crate::config;
use crate::forward::RequestBody;

/// So many checks in a row must fail: a single lost packet takes nothing out of service.
const FALL: u32 = 2;

/// No check waits longer than this, however long the interval: a server that needs more is not well.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Checks until the endpoint is gone or `stop` is cancelled.
pub(super) async fn watch(
    endpoint: Weak<Endpoint>,
    health: config::Health,
    dialer: Dialer,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(health.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failed_in_a_row = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(peer) = endpoint.upgrade().map(|endpoint| endpoint.peer().clone()) else {
            return;
        };
        let wait = health.interval.min(MAX_WAIT);
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = tokio::time::timeout(wait, check(&dialer, &peer, &health.path)) => outcome,
        };
        let is_good = matches!(outcome, Ok(Ok(true)));
        failed_in_a_row = if is_good {
            0
        } else {
            failed_in_a_row.saturating_add(1)
        };
        let Some(endpoint) = endpoint.upgrade() else {
            return;
        };
        if is_good && !endpoint.is_healthy() {
            tracing::info!(endpoint = %peer, "the health check passes again");
            endpoint.returned(Instant::now());
            endpoint.set_healthy(true);
        } else if failed_in_a_row >= FALL && endpoint.is_healthy() {
            tracing::warn!(endpoint = %peer, "the health check fails: taken out");
            endpoint.set_healthy(false);
        }
    }
}

/// One check: any 2xx is good.
async fn check(dialer: &Dialer, peer: &Peer, path: &str) -> anyhow::Result<bool> {
    let mut link = Link::of(dialer.open(peer).await?);
    let mut request = Request::get(path)
        .header(header::HOST, peer.endpoint.authority())
        .header(header::USER_AGENT, "banyan-health-check")
        .body(RequestBody::Empty)?;
    if let Link::Http1(_) = link {
        let close = HeaderValue::from_static("close");
        request.headers_mut().insert(header::CONNECTION, close);
    }
    // With the link goes its connection: a check leaves nothing behind.
    match link.send(request).await {
        Ok(response) => Ok(response.status().is_success()),
        Err(error) => anyhow::bail!("{:?}", error.why),
    }
}
