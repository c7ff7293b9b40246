use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use time::OffsetDateTime;

/// What became of the file's edits since the start.
#[derive(Debug)]
pub(super) struct Reloads {
    applied: AtomicU64,
    refused: AtomicU64,
    applied_at: AtomicI64,
}

/// What became of the file's edits, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadSnapshot {
    /// Edits that are or were in force.
    pub applied: u64,
    /// Edits that were refused for a fault.
    pub refused: u64,
    /// Since when the configuration is in force, in seconds since 1970.
    pub applied_at: i64,
}

impl Reloads {
    /// None yet: in force is what the process began with.
    pub(super) fn new(now: OffsetDateTime) -> Self {
        Self {
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            applied_at: AtomicI64::new(now.unix_timestamp()),
        }
    }

    pub(super) fn applied(&self, now: OffsetDateTime) {
        self.applied.fetch_add(1, Ordering::Relaxed);
        self.applied_at
            .store(now.unix_timestamp(), Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> ReloadSnapshot {
        ReloadSnapshot {
            applied: self.applied.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            applied_at: self.applied_at.load(Ordering::Relaxed),
        }
    }
}
