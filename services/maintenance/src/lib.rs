//! The maintenance service: scheduled jobs, each run by exactly one replica.
//!
//! Invariants: a due time of a job is one run, whoever notices it first; a job has at most one run
//! that runs; other services are asked by event and never called.

pub mod archive;
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
use service::{Frame, Plan, Shared};

pub use config::Config;

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
    let plan = Plan {
        name: SERVICE,
        about: "Scheduled jobs, their runs and their history.",
        listen: config.listen,
        database: &config.database,
        ops_token: config.ops_token,
        migrations: migrations(),
    };
    let mut frame = Frame::open_with(config.database_options, plan, shared, shutdown).await?;
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

/// What its database is made of, beside the outbox.
fn migrations() -> Vec<Migrations> {
    vec![store::migrations()]
}

/// Brings the tables of its database up to date, as [`run`] does at its start, and nothing else.
///
/// # Errors
/// When the database cannot be reached, or a migration fails.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    service::migrate(SERVICE, &config.database, migrations()).await
}

/// Finds what [`run`] would refuse about a configuration that could be read.
///
/// # Errors
/// The faults.
pub fn check(config: &Config) -> anyhow::Result<()> {
    Ok(chassis::ops::check(
        config.listen,
        config.ops_token.as_deref(),
    )?)
}
