//! Whether a peer keeps up: a least rate while it is being waited for.
//!
//! Only the time in which a peer holds things up counts, so that a stream of rare events or a slow
//! upstream is never held against the client.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How slow a peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeastRate {
    /// Bytes a second.
    pub(crate) rate: u32,
    /// Over this long.
    pub(crate) grace: Duration,
}

/// One peer's pace in one direction.
#[derive(Debug)]
pub(crate) struct Pace {
    least: LeastRate,
    waiting_since: Option<Instant>,
    /// How long it was waited for in this period, but for the wait that is under way.
    waited: Duration,
    /// What moved in this period.
    bytes: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(least: LeastRate) -> Self {
        Self {
            least,
            waiting_since: None,
            waited: Duration::ZERO,
            bytes: 0,
            timer: None,
        }
    }

    /// So many bytes moved. Costs nothing while nobody was waited for.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        if !self.waited.is_zero() {
            self.bytes += bytes as u64;
        }
    }

    /// The peer is being waited for; ready when it was too slow for too long.
    pub(crate) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut since = *self.waiting_since.get_or_insert_with(Instant::now);
        loop {
            let deadline = since + self.least.grace.saturating_sub(self.waited);
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // The timer is left alone while bytes flow, and set anew only when it fires.
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if timer.deadline() < deadline {
                timer.as_mut().reset(deadline);
                continue;
            }
            let least = u64::from(self.least.rate) * self.least.grace.as_millis() as u64 / 1000;
            if self.bytes < least {
                return Poll::Ready(());
            }
            since = Instant::now();
            self.waiting_since = Some(since);
            (self.waited, self.bytes) = (Duration::ZERO, 0);
            timer.as_mut().reset(since + self.least.grace);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LEAST: LeastRate = LeastRate {
        rate: 100,
        grace: Duration::from_secs(10),
    };

    /// How long it takes until a peer is too slow that moves so many bytes in each second, if it
    /// is within two minutes.
    async fn ends_after(bytes: usize) -> Option<Duration> {
        let mut pace = Pace::new(LEAST);
        let started = Instant::now();
        for _ in 0..120 {
            let waiting = poll_fn(|cx| pace.poll_too_slow(cx));
            let second = Duration::from_secs(1);
            if tokio::time::timeout(second, waiting).await.is_ok() {
                return Some(started.elapsed());
            }
            pace.moved(bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_the_rate_goes_on_and_who_does_not_ends_after_the_grace() {
        assert_eq!(ends_after(150).await, None);
        let silent = ends_after(0).await.expect("an end");
        assert_eq!(silent.as_secs(), 10);
        let slow = ends_after(50).await.expect("an end");
        assert!(slow.as_secs() <= 20, "{slow:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_does_not_count() {
        let mut pace = Pace::new(LEAST);
        for _ in 0..100 {
            pace.moved(1);
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let waiting = poll_fn(|cx| pace.poll_too_slow(cx));
        let almost = tokio::time::timeout(Duration::from_secs(9), waiting).await;
        assert!(almost.is_err(), "the grace begins with the first wait");
    }
}
