//! What this service is told at its start: a file, over it `BANYAN_MAINTENANCE__…` variables.

mod jobs;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use chassis::config::Faults;
use sagas::{Clock, DatabaseClock};
use serde::{Deserialize, Serialize};

pub use jobs::{Job, JobSettings, Jobs};

use crate::{archive::Watch, domain::Limits};

/// The configuration. Not printable: it holds secrets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it serves.
    pub listen: SocketAddr,
    /// Its own database: `postgres://…` or `sqlite:path`.
    pub database: String,
    /// The log's database; not used where the log is shared in one process.
    pub log: String,
    /// The bus, where there is one: `nats://…` or `amqp://…`; likewise.
    #[serde(alias = "nats", skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// Where the keys are that access tokens are verified with.
    pub jwks_url: String,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
    /// Where the log's archive is; the same folder for all replicas.
    pub archive_dir: PathBuf,
    /// Events of one archive segment at most.
    pub segment_events: u32,
    /// Snapshots that are kept.
    pub keep_snapshots: u32,
    /// Days that runs are kept; the newest run of each job always is.
    pub history_days: u32,
    /// From where on a service's health report is a finding.
    pub health: Limits,
    /// What differs from the built-in jobs, by the job's name.
    pub jobs: BTreeMap<String, JobSettings>,
    /// Where the time comes from; not part of the file, for tests.
    #[serde(default = "database_clock")]
    #[serde(skip)]
    pub clock: Arc<dyn Clock>,
    /// How its own database is opened; likewise.
    #[serde(skip)]
    pub database_options: database::Options,
    /// Sees each durable step of the archive; likewise.
    #[serde(skip)]
    pub archive_watch: Watch,
}

fn database_clock() -> Arc<dyn Clock> {
    Arc::new(DatabaseClock)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9007).into(),
            database: "sqlite:.banyan/maintenance.db".to_owned(),
            log: "sqlite:.banyan/log.db".to_owned(),
            bus: None,
            jwks_url: "http://127.0.0.1:9001/.well-known/jwks.json".to_owned(),
            ops_token: None,
            archive_dir: ".banyan/archive".into(),
            // Some megabytes of JSON, held in memory while a segment is written.
            segment_events: 10_000,
            keep_snapshots: 7,
            history_days: 90,
            health: Limits::default(),
            jobs: BTreeMap::new(),
            clock: database_clock(),
            database_options: database::Options::default(),
            archive_watch: Watch::default(),
        }
    }
}

impl Config {
    /// Reads the file and the variables.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        service::load(file)
    }

    /// The jobs as they are to run.
    ///
    /// # Errors
    /// Everything that is wrong with the values.
    pub fn resolve(&self) -> Result<Jobs, Faults> {
        let mut faults = Vec::new();
        let mut at_least_one = |key: &str, value: i64| {
            if value < 1 {
                faults.push(format!("{key}: must be 1 or more"));
            }
        };
        at_least_one("segment_events", self.segment_events.into());
        at_least_one("keep_snapshots", self.keep_snapshots.into());
        at_least_one("history_days", self.history_days.into());
        at_least_one("health.behind", self.health.behind);
        at_least_one("health.outbox_seconds", self.health.outbox_seconds);
        let jobs = Jobs::resolve(&self.jobs, &mut faults);
        Faults::found(faults)?;
        Ok(jobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Faults> {
        let folder = testkit::temp_dir();
        let file = folder.path().join("maintenance.toml");
        std::fs::write(&file, text).expect("a file");
        Config::load(Some(&file))
    }

    #[test]
    fn every_fault_of_the_jobs_is_told_at_once() {
        let faults = load(
            r#"
            keep_snapshots = 0
            [jobs.guest-cleanup]
            schedule = "61 * * * *"
            time_zone = "Mars/Olympus"
            timeout = "3 days"
            overlap = "both"
            missed = "cry"
            on = ["no.such.event", "maintenance.done"]
            participants = ["nobody"]
            [jobs.daily-report]
            parameters = { day = "soon" }
            [jobs.no-such-job]
            enabled = false
            [jobs.log-archive]
            participants = ["auth"]
            "#,
        )
        .err()
        .expect("faults")
        .0;
        let expected = [
            "keep_snapshots: must be 1 or more",
            "jobs.daily-report.parameters.day: must be a day such as 2026-03-29",
            "jobs.guest-cleanup.schedule: ",
            "jobs.guest-cleanup.time_zone: \"Mars/Olympus\" is no IANA time zone",
            "jobs.guest-cleanup.timeout: ",
            "jobs.guest-cleanup.overlap: ",
            "jobs.guest-cleanup.missed: ",
            "jobs.guest-cleanup.on: \"no.such.event\"",
            "jobs.guest-cleanup.on: \"maintenance.done\"",
            "jobs.guest-cleanup.participants: \"nobody\"",
            "jobs.log-archive.participants: ",
            "jobs.no-such-job: ",
        ];
        for expected in expected {
            assert!(
                faults.iter().any(|fault| fault.starts_with(expected)),
                "{expected}: {faults:#?}"
            );
        }
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    }

    #[test]
    fn unknown_keys_are_faults() {
        let faults = load("[jobs.health]\nshedule = \"* * * * *\"\n").err();
        assert!(faults.expect("a fault").to_string().contains("shedule"));
    }

    #[test]
    fn a_job_is_what_the_file_says_over_what_is_built_in() {
        let config = load(
            r#"
            [jobs.health]
            schedule = "30 4 * * *"
            time_zone = "Europe/Berlin"
            timeout = "90s"
            overlap = "queue"
            participants = ["auth", "quiz"]
            on = ["user.deleted"]
            [jobs.retention]
            enabled = false
            "#,
        )
        .unwrap_or_else(|faults| panic!("{faults}"));
        let jobs = config.resolve().unwrap_or_else(|faults| panic!("{faults}"));
        let health = jobs.get("health").expect("a job");
        assert_eq!(health.timeout.as_secs(), 90);
        assert_eq!(health.participants, ["auth", "quiz"]);
        assert_eq!(health.on, ["user.deleted"]);
        assert_eq!(
            health.schedule.as_ref().map(|s| s.text()),
            Some("30 4 * * *")
        );
        assert!(!jobs.get("retention").expect("a job").enabled);
        assert!(jobs.get("guest-cleanup").expect("a job").enabled);
    }
}
