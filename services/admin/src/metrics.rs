//! What this service counts.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// The counters; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Edits that were written, by curators and imports.
    pub edits: Counter,
    /// Edits that were not confirmed in time: answered with 202.
    pub unconfirmed: Counter,
    /// The monolith's edits that became events.
    pub followed: Counter,
    /// The monolith's edits of questions that were edited here, too.
    pub conflicts: Counter,
}

impl Metrics {
    /// Shows them at `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        let mut show = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        show("question_edits", "Questions written here", &self.edits);
        show(
            "question_edits_unconfirmed",
            "Edits that players did not see within the wait",
            &self.unconfirmed,
        );
        show(
            "question_edits_followed",
            "Edits of the monolith that became events",
            &self.followed,
        );
        show(
            "question_conflicts",
            "Edits of the monolith that were not taken, because the question was edited here",
            &self.conflicts,
        );
    }
}
