//! Two upgraded connections joined: bytes both ways until both sides are done, nobody has said
//! anything for too long, or the flag has sent the client to the other side.
//!
//! Invariant: a tunnel is a request under way, and its client's connection has its place, until the
//! last byte: it is bounded by the same limits and counted by the same numbers as any other.

mod active;

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::flip::Watch;
use crate::forward::Relay;
use crate::load::Place;
use crate::tapped::Tapped;
use active::Activity;

/// When a tunnel ends although both sides are there.
#[derive(Debug)]
pub(super) struct Terms {
    /// After so long without a byte either way.
    pub(super) idle: Duration,
    /// When the flag sends the client to the other side, on routes that say so.
    pub(super) watch: Option<Watch>,
}

/// A tunnel that was agreed on. Whoever serves the client's connection runs it once the answer is on
/// its way; with the connection's worker it drains, and ends at the drain's end.
#[derive(Debug)]
pub(crate) struct Tunnel {
    client: OnUpgrade,
    upstream: OnUpgrade,
    terms: Terms,
    /// Counts the tunnel as a request in flight of its upstream.
    lease: Relay,
    /// Counts it as one of the process.
    place: Option<Place>,
}

impl Tunnel {
    pub(super) fn new(client: OnUpgrade, upstream: OnUpgrade, lease: Relay, terms: Terms) -> Self {
        Self {
            client,
            upstream,
            terms,
            lease,
            place: None,
        }
    }

    pub(super) fn placed(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// Joins the connections once both are upgraded, to their end.
    pub(crate) async fn run(self) {
        let _held = (self.lease, self.place);
        match tokio::try_join!(self.client, self.upstream) {
            Ok((client, upstream)) => {
                join(TokioIo::new(client), TokioIo::new(upstream), self.terms).await;
            }
            Err(error) => tracing::debug!(%error, "an upgrade was not completed"),
        }
    }
}

async fn join(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    terms: Terms,
) {
    let activity = Activity::now();
    let mut client = Tapped::new(client, activity.clone());
    let mut upstream = Tapped::new(upstream, activity.clone());
    let flipped = async {
        match terms.watch {
            Some(watch) => watch.flipped().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {
            if let Err(error) = copied {
                tracing::trace!(%error, "a tunnel was reset");
            }
        }
        () = activity.ceased_for(terms.idle) => tracing::debug!("a tunnel is closed: nobody spoke"),
        () = flipped => tracing::debug!("a tunnel is closed: its flag flipped"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    const IDLE: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_ends_when_nobody_spoke_for_too_long_and_not_before() {
        let (mut client, near) = tokio::io::duplex(64);
        let (far, mut upstream) = tokio::io::duplex(64);
        let terms = Terms {
            idle: IDLE,
            watch: None,
        };
        let began = Instant::now();
        let joined = tokio::spawn(join(near, far, terms));
        let mut byte = [0];
        // Either side's word counts.
        for _ in 0..3 {
            tokio::time::sleep(IDLE * 2 / 3).await;
            client.write_all(b"a").await.unwrap();
            upstream.read_exact(&mut byte).await.unwrap();
            tokio::time::sleep(IDLE * 2 / 3).await;
            upstream.write_all(b"b").await.unwrap();
            client.read_exact(&mut byte).await.unwrap();
        }
        assert!(!joined.is_finished());
        joined.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), (IDLE * 4 + IDLE).as_secs());
        assert_eq!(client.read(&mut byte).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_sent_all_still_gets_the_other_sides_rest() {
        let (mut client, near) = tokio::io::duplex(64);
        let (far, mut upstream) = tokio::io::duplex(64);
        let terms = Terms {
            idle: IDLE,
            watch: None,
        };
        let joined = tokio::spawn(join(near, far, terms));
        client.write_all(b"all").await.unwrap();
        client.shutdown().await.unwrap();
        let mut text = String::new();
        upstream.read_to_string(&mut text).await.unwrap();
        upstream.write_all(b"rest").await.unwrap();
        drop(upstream);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!((text.as_str(), rest.as_str()), ("all", "rest"));
        joined.await.unwrap();
    }
}
