//! How many circuits of one upstream may be open at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Shared by the breakers of an upstream's endpoints. Failures that all endpoints have in common are
/// seldom theirs: without a bound they would take out the last one, too.
#[derive(Debug)]
pub struct Cap {
    percent: usize,
    endpoints: AtomicUsize,
    open: AtomicUsize,
}

impl Cap {
    /// So many percent of the endpoints at most, and one in any case.
    #[must_use]
    pub fn new(percent: u32) -> Self {
        Self {
            percent: percent as usize,
            endpoints: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        }
    }

    /// There are so many endpoints now.
    pub fn of(&self, endpoints: usize) {
        self.endpoints.store(endpoints, Ordering::Relaxed);
    }

    /// Asks for one more circuit to open.
    pub(super) fn open(&self) -> bool {
        let most = self.endpoints.load(Ordering::Relaxed) * self.percent / 100;
        let more = |open: usize| (open < most.max(1)).then_some(open + 1);
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// One is closed again, or gone.
    pub(super) fn close(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
