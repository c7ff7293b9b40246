//! What `/metrics` shows of the jobs.

use std::time::Duration;

use database::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// From an event's way there and back to the longest run allowed.
const SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 3_600.0];

type Labels = Vec<(&'static str, String)>;

/// Counters of the runs that this replica ended; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    runs: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    last_success: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            runs: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            last_success: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to a service's registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "maintenance_runs",
            "Runs that this replica ended, by job and outcome",
            self.runs.clone(),
        );
        registry.register(
            "maintenance_run_seconds",
            "How long completed runs took",
            self.seconds.clone(),
        );
        registry.register(
            "maintenance_last_success_seconds",
            "When a job last completed, in seconds since 1970",
            self.last_success.clone(),
        );
    }

    /// Counts a run that ended.
    pub fn ended(&self, job: &str, outcome: &str, took: Duration) {
        let labels = vec![("job", job.to_owned()), ("outcome", outcome.to_owned())];
        self.runs.get_or_create(&labels).inc();
        if outcome == "completed" {
            let labels = vec![("job", job.to_owned())];
            self.seconds
                .get_or_create(&labels)
                .observe(took.as_secs_f64());
        }
    }

    /// Notes a success, whoever had it.
    pub fn succeeded(&self, job: &str, at: Timestamp) {
        let labels = vec![("job", job.to_owned())];
        self.last_success
            .get_or_create(&labels)
            .set(at.as_micros() / 1_000_000);
    }
}
