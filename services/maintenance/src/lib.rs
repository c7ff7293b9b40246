//! The maintenance service: scheduled jobs, each run by exactly one replica.
//!
//! Invariants: a due time of a job is one run, whoever notices it first; a job has at most one run
//! that runs; other services are asked by event and never called.

pub mod config;
pub mod consumers;
pub mod domain;
pub mod error;
pub mod http;
pub mod metrics;
pub mod runs;
mod scheduler;
pub mod store;
pub mod work;

use std::{sync::Arc, time::Duration};

use chassis::{Shutdown, identity::Verifier};
use database::Migrations;
use service::{Frame, Plan, Service, Settings, Shared};

pub use config::Config;
pub use event_store::archive;

use crate::{
    archive::Archive,
    consumers::{COUNTS, Counts, Replies, Wishes},
    http::Api,
    metrics::Metrics,
    runs::Runs,
    work::Worker,
};

/// The service's name: its events' `serviceId`.
pub const SERVICE: &str = "maintenance";

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let jobs = config.resolve()?;
    let options = config.database_options.clone();
    let mut frame = Frame::open_with(options, Plan::of(&config)?, shared, shutdown).await?;
    let metrics = Metrics::default();
    frame
        .metrics
        .register(|registry| metrics.register(registry));
    let runs = Runs::new(
        frame.database.clone(),
        frame.outbox.clone(),
        jobs,
        Arc::clone(&config.clock),
        config.health,
        metrics,
    );
    runs.ensure_jobs().await?;
    frame.consume(Replies(runs.clone()));
    frame.consume(Wishes::new(runs.clone()));
    frame.consume(Counts);
    let archive = Archive::new(
        config.archive_dir,
        config.segment_events,
        config.keep_snapshots,
        config.archive_watch,
    );
    let counts = frame.consumers().progress(COUNTS);
    let worker = Worker::new(runs.clone(), frame.log.clone(), archive, counts);
    let kept = Duration::from_secs(u64::from(config.history_days) * DAY);
    let end = frame.shutdown.clone();
    frame.spawn("scheduler", scheduler::run(runs.clone(), worker, kept, end));
    let api = Api {
        runs,
        verifier: Verifier::jwks(config.jwks_url),
    };
    frame.serve(http::router(api), axum::Router::new()).await
}

impl Service for Config {
    const NAME: &'static str = SERVICE;
    const ABOUT: &'static str = "Scheduled jobs, their runs and their history.";

    fn settings(&self) -> Settings<'_> {
        Settings {
            listen: self.listen,
            database: &self.database,
            log: &self.log,
            bus: self.bus.as_deref(),
            legacy_database: None,
            ops_token: self.ops_token.as_deref(),
        }
    }

    fn faults(&self) -> Vec<String> {
        self.resolve()
            .err()
            .map(|faults| faults.0)
            .unwrap_or_default()
    }

    fn migrations() -> Vec<Migrations> {
        vec![store::migrations()]
    }

    async fn run(self, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
        run(self, shared, shutdown).await
    }
}
