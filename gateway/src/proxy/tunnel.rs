//! Two upgraded connections joined: bytes both ways until both sides are done.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::forward::Relay;

/// Joins the connections once both are upgraded. `_lease` counts the tunnel as a request in flight;
/// it ends with the tunnel, or with the worker's runtime when the process drains.
pub(super) async fn run(client: OnUpgrade, upstream: OnUpgrade, _lease: Relay) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "an upgrade was not completed");
            return;
        }
    };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let copied = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
    if let Err(error) = copied {
        tracing::trace!(%error, "a tunnel was reset");
    }
}
