//! A database's clock as this process knows it, without asking each time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use database::Timestamp;

/// A reading that took longer says too little about when in between it was made.
const TRUSTED: Duration = Duration::from_millis(50);

/// How far another clock is ahead of this machine's; clones share it. For measuring only: what is
/// decided by a time is decided by the database's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    ahead_micros: Arc<AtomicI64>,
}

impl Clock {
    /// Learns from `reading`, which was asked for at `asked` and is here now. It was made half-way,
    /// as in NTP; the error is at most half of the way.
    pub(crate) fn learn(&self, asked: Timestamp, reading: Timestamp) {
        let answered = Timestamp::system();
        let way = answered.since(asked);
        if way <= TRUSTED {
            let half_way = asked + way / 2;
            let ahead = reading.as_micros().saturating_sub(half_way.as_micros());
            self.ahead_micros.store(ahead, Ordering::Relaxed);
        }
    }

    /// What that clock says now.
    pub(crate) fn now(&self) -> Timestamp {
        let ahead = self.ahead_micros.load(Ordering::Relaxed);
        Timestamp::from_micros(Timestamp::system().as_micros().saturating_add(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_ahead_is_known_after_one_reading() {
        let (clock, asked) = (Clock::default(), Timestamp::system());
        clock.learn(asked, asked + Duration::from_secs(3600));
        let ahead = clock.now().since(Timestamp::system());
        assert!(ahead > Duration::from_secs(3599), "{ahead:?}");
        assert!(ahead < Duration::from_secs(3601), "{ahead:?}");
    }

    #[test]
    fn a_reading_that_took_long_changes_nothing() {
        let (clock, now) = (Clock::default(), Timestamp::system());
        clock.learn(
            now - Duration::from_secs(1),
            now + Duration::from_secs(3600),
        );
        assert!(clock.now().since(Timestamp::system()) < Duration::from_secs(1));
    }
}
