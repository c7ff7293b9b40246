//! What came of the requests.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts, and the faults that nothing excuses.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    answered: AtomicU64,
    excused: AtomicU64,
    given_up: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Tally {
    /// The right answer came, whole.
    pub(crate) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// It failed while an instance was away.
    pub(crate) fn excused(&self) {
        self.excused.fetch_add(1, Ordering::Relaxed);
    }

    /// The client went away on purpose.
    pub(crate) fn given_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// It failed, and no instance was away.
    pub(crate) fn fault(&self, fault: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(fault);
    }

    /// Every kind of end was met, and no fault.
    pub(crate) fn assert_sound(&self) {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            faults.is_empty(),
            "{} faults: {:#?}",
            faults.len(),
            &faults[..faults.len().min(20)]
        );
        for count in [&self.answered, &self.given_up] {
            assert!(count.load(Ordering::Relaxed) > 0, "{self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            formatter,
            "{} answered, {} failed by a death, {} given up",
            count(&self.answered),
            count(&self.excused),
            count(&self.given_up),
        )
    }
}
