//! Long answers of a route with `close_on_flip`: they end when their flag sends their subject to
//! the other side, so that the client comes back and is served there.
//!
//! Invariant: what ends one is a decision that differs from the one it began with, made by the same
//! function; a change that leaves its subject where it is does not touch it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;

use crate::flag::{FlagCell, FlagState, Side, decide};

/// Everybody who is closed comes back at once: over this long, so that a flip of ten thousand
/// sockets is two thousand requests a second and no more.
const SPREAD: Duration = Duration::from_secs(5);

/// What one request was decided by, for deciding again.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) flag: Arc<FlagCell>,
    pub(super) subject: Option<String>,
    /// Those that the flag's rules could read.
    pub(super) headers: HeaderMap,
    pub(super) is_stamped: bool,
    pub(super) side: Side,
}

/// Completes when a long answer is to end.
pub(super) struct Closing(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Watch {
    /// Completes some time after the flag has sent the subject to the other side, if it is still so.
    pub(super) async fn flipped(self) {
        self.flipped_within(SPREAD).await;
    }

    async fn flipped_within(self, spread: Duration) {
        let mut changes = self.flag.changes();
        loop {
            if self.is_flipped(&self.flag.snapshot()) {
                let pause = spread.mul_f64(rand::random());
                tokio::time::sleep(pause).await;
                if self.is_flipped(&self.flag.snapshot()) {
                    return;
                }
            }
            if changes.changed().await.is_err() {
                // The cell says so when it is gone; it is held here.
                std::future::pending::<()>().await;
            }
        }
    }

    fn is_flipped(&self, state: &FlagState) -> bool {
        // Who was over has been stamped by the answer that began this one.
        let is_stamped = self.is_stamped || self.side == Side::Candidate;
        decide(state, self.subject.as_deref(), is_stamped, &self.headers).side != self.side
    }
}

impl Closing {
    pub(super) fn of(watch: Watch) -> Self {
        Self(Box::pin(watch.flipped()))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closing(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::{Percent, Settings};

    fn state(percent: Percent, killed: bool, drain: bool) -> FlagState {
        let mut settings = Settings::new("move");
        settings.percent = percent;
        settings.drain = drain;
        let mut state = FlagState::declared("move".parse().unwrap(), settings);
        state.killed = killed;
        state
    }

    fn watch(flag: &Arc<FlagCell>, side: Side) -> Watch {
        Watch {
            flag: Arc::clone(flag),
            subject: Some("ann".to_owned()),
            headers: HeaderMap::new(),
            is_stamped: false,
            side,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_change_that_moves_the_subject_ends_it() {
        let flag = Arc::new(FlagCell::new(state(Percent::FULL, false, false)));
        let mut over = Box::pin(watch(&flag, Side::Candidate).flipped());
        let mut behind = Box::pin(watch(&flag, Side::Legacy).flipped());
        let long = Duration::from_secs(3600);
        // On legacy though everybody is over: decided before the last change.
        tokio::time::timeout(SPREAD, &mut behind).await.unwrap();
        assert!(tokio::time::timeout(long, &mut over).await.is_err());
        flag.set(state(Percent::ZERO, false, true));
        assert!(
            tokio::time::timeout(long, &mut over).await.is_err(),
            "who is over stays while it drains"
        );
        flag.set(state(Percent::FULL, true, true));
        tokio::time::timeout(SPREAD, &mut over).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_flip_that_is_taken_back_in_time_ends_nothing() {
        let flag = Arc::new(FlagCell::new(state(Percent::FULL, false, false)));
        let spread = Duration::from_secs(1_000_000);
        let mut over = Box::pin(watch(&flag, Side::Candidate).flipped_within(spread));
        assert!(futures::poll!(&mut over).is_pending());
        flag.set(state(Percent::FULL, true, false));
        assert!(futures::poll!(&mut over).is_pending());
        flag.set(state(Percent::FULL, false, false));
        assert!(tokio::time::timeout(spread * 2, &mut over).await.is_err());
    }
}
