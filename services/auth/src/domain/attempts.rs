//! How often somebody may be wrong, and how long they wait after that.

use std::time::Duration;

/// A bound on failures with the pauses that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Failures that cost nothing but the last of them.
    pub failures: i64,
    /// The pause after that many failures; it doubles with each further one.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// Failures are forgotten this long after the last one, its pause not counted.
    pub memory: Duration,
}

impl Allowance {
    /// How long nothing is looked at after this many failures.
    #[must_use]
    pub fn pause_after(&self, failures: i64) -> Option<Duration> {
        let over = failures
            .checked_sub(self.failures)
            .filter(|over| *over >= 0)?;
        let doublings = u32::try_from(over).unwrap_or(u32::MAX);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let pause = self.first_pause.saturating_mul(factor);
        Some(pause.min(self.longest_pause))
    }
}

/// A wait as a client is told it: whole seconds, never too few.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Allowance = Allowance {
        failures: 5,
        first_pause: Duration::from_secs(30),
        longest_pause: Duration::from_secs(900),
        memory: Duration::from_secs(900),
    };

    #[test]
    fn pauses_begin_with_the_last_allowed_failure_and_double_up_to_a_bound() {
        let seconds = |failures| FIVE.pause_after(failures).map(|pause| pause.as_secs());
        assert_eq!(seconds(4), None);
        assert_eq!(seconds(5), Some(30));
        assert_eq!(seconds(6), Some(60));
        assert_eq!(seconds(9), Some(480));
        assert_eq!(seconds(10), Some(900));
        assert_eq!(seconds(i64::MAX), Some(900));
    }

    #[test]
    fn a_client_is_never_told_to_come_too_early() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(30)), 30);
    }
}
