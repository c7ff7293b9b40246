//! Counting in this process: governor's GCRA over a bounded number of keys.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use quick_cache::sync::Cache;

use super::{MAX_KEYS, Verdict, Who};
use crate::config::RateLimit;

/// Counts by key.
pub(super) struct Local<C: Clock> {
    limiter: RateLimiter<Key, Bounded, C, StateInformationMiddleware>,
    /// Random, so that no client can aim at another one's key.
    salts: [RandomState; 2],
    interval: Duration,
    burst: u32,
}

/// A hash stands for a key: subjects are long, and one in 2^64 meets another.
type Key = u128;

/// governor's own stores grow with every key that comes.
struct Bounded(Cache<Key, Arc<InMemoryState>>);

impl<C: Clock> Local<C> {
    /// `None` for a setting that no valid configuration has.
    pub(super) fn new(setting: &RateLimit, clock: C) -> Option<Self> {
        Self::with_keys(setting, clock, MAX_KEYS)
    }

    fn with_keys(setting: &RateLimit, clock: C, keys: usize) -> Option<Self> {
        let interval = setting.interval();
        let burst = NonZeroU32::new(setting.burst)?;
        let quota = Quota::with_period(interval)?.allow_burst(burst);
        let limiter = RateLimiter::new(quota, Bounded(Cache::new(keys)), clock);
        Some(Self {
            limiter,
            salts: [RandomState::new(), RandomState::new()],
            interval,
            burst: setting.burst,
        })
    }

    pub(super) fn check(&self, who: Who<'_>) -> Verdict {
        let [high, low] = [&self.salts[0], &self.salts[1]].map(|salt| salt.hash_one(who));
        let key = u128::from(high) << 64 | u128::from(low);
        match self.limiter.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Verdict {
                    is_allowed: true,
                    remaining,
                    resets: self.interval * (self.burst - remaining.min(self.burst)),
                }
            }
            Err(until) => Verdict {
                is_allowed: false,
                remaining: 0,
                resets: until.wait_time_from(self.limiter.clock().now()),
            },
        }
    }
}

impl StateStore for Bounded {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let made = || Ok::<_, std::convert::Infallible>(Arc::default());
        let state = match self.0.get_or_insert_with(key, made) {
            Ok(state) => state,
            Err(never) => match never {},
        };
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl<C: Clock> std::fmt::Debug for Local<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Local(…)")
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::config::{Rate, RateKey};

    fn setting(count: u32, burst: u32) -> RateLimit {
        RateLimit {
            per: RateKey::Subject,
            rate: Rate {
                count,
                per: Duration::from_secs(1),
            },
            burst,
            shared: None,
        }
    }

    #[test]
    fn a_burst_goes_through_and_then_the_steady_rate() {
        let clock = FakeRelativeClock::default();
        let local = Local::new(&setting(10, 3), clock.clone()).unwrap();
        let ann = Who::Subject("ann");
        let allowed = |who| local.check(who).is_allowed;
        let first = local.check(ann);
        assert_eq!((first.is_allowed, first.remaining), (true, 2));
        assert_eq!(first.resets, Duration::from_millis(100));
        assert!(allowed(ann) && allowed(ann));
        let refused = local.check(ann);
        assert_eq!((refused.is_allowed, refused.remaining), (false, 0));
        assert_eq!(refused.resets, Duration::from_millis(100));
        assert!(allowed(Who::Subject("bob")), "counted apart");
        clock.advance(Duration::from_millis(100));
        assert!(allowed(ann));
        assert!(!allowed(ann));
        clock.advance(Duration::from_secs(60));
        let rested = (0..10).filter(|_| allowed(ann)).count();
        assert_eq!(rested, 3, "never more than the burst");
    }

    #[test]
    fn however_many_keys_come_a_bounded_number_is_remembered() {
        let clock = FakeRelativeClock::default();
        let local = Local::with_keys(&setting(1, 1), clock, 100).unwrap();
        for number in 0..10_000 {
            local.check(Who::Subject(&number.to_string()));
        }
        assert!(local.limiter.into_state_store().0.len() <= 100);
    }
}
