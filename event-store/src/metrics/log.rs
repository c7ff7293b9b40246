use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::SECONDS;

/// Groups from one caller to a full queue.
const GROUP_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0];

/// What a process appends.
#[derive(Clone, Debug)]
pub(crate) struct Appends {
    appended: Counter,
    group_size: Histogram,
    seconds: Histogram,
    failures: Counter,
    pub(crate) head: Gauge,
}

impl Default for Appends {
    fn default() -> Self {
        Self {
            appended: Counter::default(),
            group_size: Histogram::new(GROUP_SIZES),
            seconds: Histogram::new(SECONDS),
            failures: Counter::default(),
            head: Gauge::default(),
        }
    }
}

impl Appends {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "log_appended_events",
            "Events that got a position from this process",
            self.appended.clone(),
        );
        r.register(
            "log_group_batches",
            "Callers that shared a commit",
            self.group_size.clone(),
        );
        r.register(
            "log_append_seconds",
            "Time of one group's commit",
            self.seconds.clone(),
        );
        r.register(
            "log_append_failures",
            "Groups that the log's database did not take",
            self.failures.clone(),
        );
        r.register(
            "log_head",
            "The newest position known here",
            self.head.clone(),
        );
    }

    pub(crate) fn committed(&self, batches: usize, events: usize, took: Duration) {
        self.appended.inc_by(events as u64);
        self.group_size.observe(batches as f64);
        self.seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
}
