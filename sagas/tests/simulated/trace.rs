//! What happened in a run, as a number that two runs of a seed share, and as a text where somebody asks.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::SEED;

/// What happened so far.
#[derive(Default)]
pub(crate) struct Trace {
    /// Its keys are the same in every process.
    hasher: DefaultHasher,
    lines: u64,
}

impl Trace {
    pub(crate) fn add(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        if std::env::var_os(SEED).is_some() {
            println!("{line}");
        }
        line.hash(&mut self.hasher);
        self.lines += 1;
    }

    pub(crate) fn rows(&mut self, rows: &impl Hash) {
        rows.hash(&mut self.hasher);
    }

    /// Lines, and what they and the rows come to.
    pub(crate) fn sum(&self) -> (u64, u64) {
        (self.lines, self.hasher.finish())
    }
}
