//! The generic cell rate algorithm on numbers alone, for counts that lie elsewhere (ITU-T I.371; the
//! same that governor counts by in this process). Pure.

use std::time::Duration;

use super::Verdict;
use crate::config::RateLimit;

/// How fast requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    interval: Duration,
    burst: u32,
}

impl Pace {
    pub(crate) fn of(setting: &RateLimit) -> Self {
        Self {
            interval: setting.interval(),
            burst: setting.burst,
        }
    }

    /// Judges a request at `now`. `due` is when the next one would be due if they came evenly; the new
    /// one comes with an allowed request, and a refused one changes nothing.
    pub(crate) fn judge(self, due: Option<Duration>, now: Duration) -> (Verdict, Option<Duration>) {
        let next = due.map_or(now, |due| due.max(now)) + self.interval;
        let ahead = next - now;
        let most = self.interval * self.burst;
        if ahead > most {
            let verdict = Verdict {
                is_allowed: false,
                remaining: 0,
                resets: ahead - most,
            };
            return (verdict, None);
        }
        let left = (most - ahead).as_nanos() / self.interval.as_nanos().max(1);
        let verdict = Verdict {
            is_allowed: true,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            resets: ahead,
        };
        (verdict, Some(next))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace {
        interval: Duration::from_millis(100),
        burst: 3,
    };

    #[test]
    fn a_burst_goes_through_and_then_the_steady_rate() {
        let mut due = None;
        let mut at = |millis: u64| {
            let (verdict, next) = PACE.judge(due, Duration::from_millis(millis));
            due = next.or(due);
            (
                verdict.is_allowed,
                verdict.remaining,
                verdict.resets.as_millis(),
            )
        };
        assert_eq!(at(1_000), (true, 2, 100));
        assert_eq!(at(1_000), (true, 1, 200));
        assert_eq!(at(1_000), (true, 0, 300));
        assert_eq!(at(1_000), (false, 0, 100));
        assert_eq!(at(1_099), (false, 0, 1));
        assert_eq!(at(1_100), (true, 0, 300));
        assert_eq!(
            at(900),
            (false, 0, 300),
            "another gateway's clock is behind"
        );
        assert_eq!(at(60_000), (true, 2, 100));
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_lets_more_through_than_the_burst_and_what_came_back(
            gaps in proptest::collection::vec(0..300_u64, 1..200),
        ) {
            let (mut now, mut due, mut allowed) = (5_000, None, 0_u64);
            for gap in gaps {
                now += gap;
                let (verdict, next) = PACE.judge(due, Duration::from_millis(now));
                due = next.or(due);
                allowed += u64::from(verdict.is_allowed);
            }
            prop_assert!(allowed <= 3 + (now - 5_000) / 100);
        }
    }
}
