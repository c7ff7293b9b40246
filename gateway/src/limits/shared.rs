//! Counting together with other gateways.
//!
//! Invariant: what keeps the counts may be slow or gone at any time, and no request waits for it
//! longer than [`PATIENCE`]: then this gateway counts by itself, and says so in its metrics.

mod nats;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::Verdict;
use super::pace::Pace;
use crate::config::Secret;
use nats::NatsCounts;

/// Where several gateways keep their counts.
#[async_trait]
pub(crate) trait Limiter: Debug + Send + Sync {
    /// Counts a request of `key`, at a time since 1970 that all gateways' clocks agree on as far as
    /// clocks do.
    async fn check(&self, key: &str, pace: Pace, now: Duration) -> Result<Verdict, Unavailable>;

    /// Some key's burst takes so long to come back: until then no count may be forgotten.
    fn remembers_for(&self, refill: Duration);
}

/// A count cannot be had now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    /// None can: whoever asks next need not find out the same.
    #[error("the shared counts cannot be had: {0}")]
    All(String),
    /// This one cannot; the others are nobody's trouble.
    #[error("the shared count of one key cannot be had: {0}")]
    Key(&'static str),
}

/// One route's place among the shared counts.
#[derive(Debug)]
pub(super) struct Shared {
    counts: Arc<Counts>,
    /// Counts of one route and one setting have one beginning; others begin anew.
    scope: String,
}

/// The counts at one place, and whether it answered last time.
#[derive(Debug)]
struct Counts {
    limiter: Box<dyn Limiter>,
    began: Instant,
    /// Until when nobody asks, in milliseconds since the beginning.
    away_until: AtomicU64,
}

/// The places that were ever named, each connected to once.
#[derive(Debug)]
pub(super) struct Places {
    background: Handle,
    places: Mutex<HashMap<String, Arc<Counts>>>,
}

/// In a data centre an answer takes a millisecond; who waits for more than this has a worse day by
/// the limit than without it.
const PATIENCE: Duration = Duration::from_millis(50);
/// After a failure the others do not each wait as long to find out the same.
const AWAY: Duration = Duration::from_secs(1);

impl Places {
    pub(super) fn new(background: Handle) -> Self {
        Self {
            background,
            places: Mutex::default(),
        }
    }

    /// The place behind a URL, for a route's scope and the time in which its burst comes back.
    pub(super) fn at(&self, url: &Secret, scope: String, refill: Duration) -> Shared {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = places.entry(url.expose().to_owned()).or_insert_with(|| {
            let counts = NatsCounts::connect(url.clone(), &self.background);
            Arc::new(Counts::new(Box::new(counts)))
        });
        counts.limiter.remembers_for(refill);
        Shared {
            counts: Arc::clone(counts),
            scope,
        }
    }
}

impl Shared {
    #[cfg(test)]
    pub(super) fn of(limiter: impl Limiter + 'static) -> Self {
        Self {
            counts: Arc::new(Counts::new(Box::new(limiter))),
            scope: "test".to_owned(),
        }
    }

    /// Counts a request; `None` where that cannot be done now.
    pub(super) async fn check(&self, who: &str, pace: Pace, now: Duration) -> Option<Verdict> {
        let counts = &self.counts;
        if counts.is_away() {
            return None;
        }
        // Subjects are long and hold anything; a key of the store does not.
        let digest = Sha256::digest(format!("{}\n{who}", self.scope));
        let key = digest.iter().fold(String::new(), |mut key, octet| {
            key.push_str(&format!("{octet:02x}"));
            key
        });
        let checked = counts.limiter.check(&key, pace, now);
        match tokio::time::timeout(PATIENCE, checked).await {
            Ok(Ok(verdict)) => return Some(verdict),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a limit is counted by this gateway alone");
                // One client's key must not take the counts away from all others.
                if matches!(error, Unavailable::Key(_)) {
                    return None;
                }
            }
            Err(_) => tracing::debug!("the shared counts are slow: counted by this gateway alone"),
        }
        counts.step_back();
        None
    }
}

impl Counts {
    fn new(limiter: Box<dyn Limiter>) -> Self {
        Self {
            limiter,
            began: Instant::now(),
            away_until: AtomicU64::new(0),
        }
    }

    fn is_away(&self) -> bool {
        self.elapsed() < self.away_until.load(Ordering::Relaxed)
    }

    fn step_back(&self) {
        let away = u64::try_from(AWAY.as_millis()).unwrap_or(u64::MAX);
        self.away_until
            .store(self.elapsed().saturating_add(away), Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails the first time it is asked.
    #[derive(Debug)]
    struct FailsOnce(Mutex<Option<Unavailable>>);

    #[async_trait]
    impl Limiter for FailsOnce {
        async fn check(&self, _: &str, _: Pace, _: Duration) -> Result<Verdict, Unavailable> {
            let failure = self.0.lock().expect("no panic").take();
            failure.map_or(
                Ok(Verdict {
                    is_allowed: true,
                    remaining: 1,
                    resets: Duration::ZERO,
                }),
                Err,
            )
        }

        fn remembers_for(&self, _refill: Duration) {}
    }

    #[tokio::test]
    async fn what_is_wrong_with_one_key_takes_the_counts_from_no_other() {
        let pace = Pace::of(&crate::config::RateLimit {
            per: crate::config::RateKey::Ip,
            rate: crate::config::Rate {
                count: 1,
                per: Duration::from_secs(1),
            },
            burst: 1,
            shared: None,
        });
        for (failure, is_counted) in [
            (Unavailable::Key("it is hot"), true),
            (Unavailable::All("gone".to_owned()), false),
        ] {
            let what = failure.to_string();
            let shared = Shared::of(FailsOnce(Mutex::new(Some(failure))));
            let ask = |who| shared.check(who, pace, Duration::ZERO);
            assert!(ask("ann").await.is_none(), "{what}");
            assert_eq!(ask("bob").await.is_some(), is_counted, "{what}");
        }
    }
}
