//! How much of its share an endpoint gets that has just come back.
//!
//! A process that has just begun compiles, connects and fills its caches with its first requests: its
//! share grows evenly from a tenth to the whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Since when an endpoint is back. Cheap while it has long been there: one atomic load.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    is_warming: AtomicBool,
    since: Mutex<Option<Instant>>,
}

/// With none at all it would never be seen to work.
const LEAST: f64 = 0.1;

impl Warmth {
    /// It is back.
    pub(super) fn returned(&self, now: Instant) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.is_warming.store(true, Ordering::Release);
    }

    /// Its share at `now`, of 1, where it grows over this time.
    pub(super) fn share(&self, now: Instant, over: Duration) -> f64 {
        if !self.is_warming.load(Ordering::Acquire) {
            return 1.0;
        }
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let up = since.map_or(over, |since| now.saturating_duration_since(since));
        if up >= over {
            self.is_warming.store(false, Ordering::Release);
            return 1.0;
        }
        up.div_duration_f64(over).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_evenly_once_it_is_back() {
        let (warmth, start) = (Warmth::default(), Instant::now());
        let share = |seconds| {
            let share = warmth.share(
                start + Duration::from_secs(seconds),
                Duration::from_secs(20),
            );
            (share * 100.0).round() as u32
        };
        assert_eq!(share(0), 100, "it has always been there");
        warmth.returned(start + Duration::from_secs(100));
        let shares = [100, 101, 105, 110, 119, 120, 110].map(share);
        assert_eq!(shares, [10, 10, 25, 50, 95, 100, 100]);
    }
}
