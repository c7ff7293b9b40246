//! A database's clock as this process knows it, without asking each time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::Timestamp;

/// A reading that took longer says too little about when in between it was made.
const TRUSTED: Duration = Duration::from_millis(5);

/// Between two readings. Machines' clocks part by some 50 µs in this time.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a reading is carried on where no newer one can be trusted.
const CARRIED_FOR: Duration = Duration::from_secs(10);

/// The database's clock: read once a second and carried on in between by this machine's monotonic
/// clock, so that what is decided by a time costs no round trip.
///
/// It is off by half of a reading's way at most ([`TRUSTED`] ÷ 2) and what two clocks part within
/// [`CARRIED_FOR`]. It does not go back, unless the database's own does by more than a second.
#[derive(Debug, Default)]
pub struct Clock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    reading: Option<Reading>,
    asked: Option<Instant>,
    /// The latest time that was given to anybody.
    given: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    made: Instant,
    said: Timestamp,
}

impl Clock {
    /// Learns from `reading`, which was asked for at `asked` and is here now. It was made half-way,
    /// as in NTP.
    pub fn learn(&self, asked: Instant, reading: Timestamp) {
        self.learn_at(Instant::now(), asked, reading);
    }

    /// What that clock says now, as well as this process knows; this machine's time before
    /// anything is known. For measuring.
    pub fn estimate(&self) -> Timestamp {
        let state = self.state();
        let reading = state.reading;
        reading.map_or_else(Timestamp::system, |reading| reading.at(Instant::now()))
    }

    /// What that clock says now; `None` when it must be asked.
    pub(crate) fn known(&self) -> Option<Timestamp> {
        self.known_at(Instant::now())
    }

    fn known_at(&self, now: Instant) -> Option<Timestamp> {
        let mut state = self.state();
        let reading = state.reading?;
        if now.duration_since(reading.made) >= CARRIED_FOR {
            return None;
        }
        let is_due = state
            .asked
            .is_none_or(|asked| now.duration_since(asked) >= ASK_EVERY);
        if is_due {
            // This caller asks; the others go on with what is known.
            state.asked = Some(now);
            return None;
        }
        let carried = reading.at(now);
        let given = match state.given {
            Some(given) if given > carried && given.since(carried) < ASK_EVERY => given,
            _ => carried,
        };
        state.given = Some(given);
        Some(given)
    }

    fn learn_at(&self, now: Instant, asked: Instant, said: Timestamp) {
        let way = now.duration_since(asked);
        let mut state = self.state();
        state.asked = Some(asked);
        if way <= TRUSTED {
            let made = asked + way / 2;
            state.reading = Some(Reading { made, said });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn at(&self, now: Instant) -> Timestamp {
        self.said + now.saturating_duration_since(self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3600);

    fn said() -> Timestamp {
        Timestamp::from_micros(1_000_000_000_000)
    }

    #[test]
    fn a_reading_is_carried_on_and_asked_for_again_by_one_caller_a_second() {
        let (clock, start) = (Clock::default(), Instant::now());
        assert_eq!(clock.known_at(start), None, "nothing is known");
        clock.learn_at(start + 2 * MILLI, start, said());
        let half_a_second = start + 501 * MILLI;
        assert_eq!(clock.known_at(half_a_second), Some(said() + 500 * MILLI));
        assert_eq!(clock.known_at(start + ASK_EVERY), None, "one asks");
        let others = clock.known_at(start + ASK_EVERY);
        assert_eq!(others, Some(said() + 999 * MILLI), "others do not wait");
    }

    #[test]
    fn a_reading_that_took_long_changes_nothing_until_the_old_one_is_too_old() {
        let (clock, start) = (Clock::default(), Instant::now());
        clock.learn_at(start, start, said());
        let later = start + 9 * ASK_EVERY;
        clock.learn_at(later, later - 2 * TRUSTED, said() + HOUR);
        assert_eq!(clock.known_at(later), Some(said() + 9 * ASK_EVERY));
        assert_eq!(clock.known_at(start + CARRIED_FOR), None);
    }

    #[test]
    fn it_goes_back_only_when_the_database_does_by_much() {
        let (clock, start) = (Clock::default(), Instant::now());
        clock.learn_at(start, start, said());
        let at = start + 100 * MILLI;
        assert_eq!(clock.known_at(at), Some(said() + 100 * MILLI));
        clock.learn_at(at, at, said() + 97 * MILLI);
        assert_eq!(clock.known_at(at), Some(said() + 100 * MILLI));
        clock.learn_at(at, at, said() - HOUR);
        assert_eq!(clock.known_at(at), Some(said() - HOUR));
    }

    #[test]
    fn an_estimate_is_there_before_anything_is_known() {
        let clock = Clock::default();
        assert!(clock.estimate().since(Timestamp::system()) < HOUR);
        clock.learn(Instant::now(), Timestamp::system() + HOUR);
        assert!(clock.estimate().since(Timestamp::system()) > HOUR / 2);
    }
}
