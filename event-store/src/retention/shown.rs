use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// What the retention counts; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    archived_to: Gauge,
    removed: Counter,
    errors: Counter,
}

impl Shown {
    /// Adds all of it to a registry, zeros where nothing is ever removed.
    pub fn register(&self, r: &mut Registry) {
        r.register(
            "log_archived_position",
            "The last position whose event lies in the archive alone",
            self.archived_to.clone(),
        );
        r.register(
            "log_removed_events",
            "Events that left the log's database for the archive",
            self.removed.clone(),
        );
        r.register(
            "log_retention_errors",
            "Times that old events could not be removed",
            self.errors.clone(),
        );
    }

    pub(super) fn archived_to(&self, position: i64) {
        self.archived_to.set(position);
    }

    pub(super) fn removed(&self, archived_to: i64, events: u64) {
        self.archived_to(archived_to);
        self.removed.inc_by(events);
    }

    pub(super) fn failed(&self) {
        self.errors.inc();
    }
}
