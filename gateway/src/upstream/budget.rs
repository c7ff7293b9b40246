//! How much of an upstream's traffic may be retries.
//!
//! Invariant: over any stretch of time, retries stay below `percent` of the requests plus a small
//! reserve, so that a struggling upstream is not buried under its own repeats (the shape is
//! Finagle's `RetryBudget`, with a bucket instead of a ring of seconds).

use std::sync::atomic::{AtomicI64, Ordering};

/// One upstream's retry allowance.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// What one request earns, in hundredths of a retry.
    earned: i64,
    balance: AtomicI64,
}

/// One retry, in the balance's unit.
const RETRY: i64 = 100;
/// What is there before any traffic: a quiet route must be able to retry at all.
const RESERVE: i64 = 10 * RETRY;
/// The most that can be saved up: long calm must not license a long storm.
const CEILING: i64 = 100 * RETRY;

impl RetryBudget {
    /// An allowance of `percent` of the requests (0..=100), with its reserve filled; zero percent
    /// means no retries at all.
    pub(crate) fn new(percent: u8) -> Self {
        let earned = i64::from(percent);
        Self {
            earned,
            balance: AtomicI64::new(if earned == 0 { 0 } else { RESERVE }),
        }
    }

    /// A request came: it earns its share.
    pub(crate) fn deposit(&self) {
        // Most of the time the balance is full; then the shared line stays unwritten.
        if self.earned > 0 && self.balance.load(Ordering::Relaxed) < CEILING {
            self.balance.fetch_add(self.earned, Ordering::Relaxed);
        }
    }

    /// Takes one retry out, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                (balance >= RETRY).then_some(balance - RETRY)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawals(budget: &RetryBudget) -> usize {
        std::iter::repeat_with(|| budget.withdraw())
            .take_while(|granted| *granted)
            .count()
    }

    #[test]
    fn a_quiet_upstream_has_its_reserve() {
        assert_eq!(withdrawals(&RetryBudget::new(20)), 10);
    }

    #[test]
    fn traffic_earns_its_percentage() {
        let budget = RetryBudget::new(20);
        withdrawals(&budget);
        for _ in 0..50 {
            budget.deposit();
        }
        assert_eq!(withdrawals(&budget), 10);
    }

    #[test]
    fn savings_are_capped() {
        let budget = RetryBudget::new(100);
        for _ in 0..10_000 {
            budget.deposit();
        }
        assert_eq!(withdrawals(&budget), 100);
    }

    #[test]
    fn zero_percent_means_no_retry() {
        let budget = RetryBudget::new(0);
        budget.deposit();
        assert_eq!(withdrawals(&budget), 0);
    }
}
