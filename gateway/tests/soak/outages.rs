//! When an instance was away: what excuses a failed request, and nothing else does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// When each outage so far ended; those that last have no end.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<Vec<Option<Instant>>>);

impl Outages {
    /// An instance is about to die.
    pub(crate) fn begin(&self) -> usize {
        let mut ends = self.ends();
        ends.push(None);
        ends.len() - 1
    }

    /// It is back.
    pub(crate) fn end(&self, outage: usize) {
        self.ends()[outage] = Some(Instant::now());
    }

    /// Whether any instance was away at any time since then.
    pub(crate) fn any_since(&self, since: Instant) -> bool {
        let ends = self.ends();
        ends.iter().any(|end| end.is_none_or(|end| end >= since))
    }

    pub(crate) fn count(&self) -> usize {
        self.ends().len()
    }

    fn ends(&self) -> MutexGuard<'_, Vec<Option<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
