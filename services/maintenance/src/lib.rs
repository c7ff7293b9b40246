//! The maintenance service: scheduled jobs, each run by exactly one replica.
//!
//! Invariant: a due time of a job is one run, whoever notices it first.

pub mod config;

pub use config::Config;

use chassis::Shutdown;
use service::{Frame, Plan, Shared};

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let plan = Plan {
        name: "maintenance",
        about: "Scheduled jobs, their runs and their history.",
        listen: config.listen,
        database: &config.database,
        ops_token: config.ops_token,
        migrations: Vec::new(),
    };
    let frame = Frame::open(plan, shared, shutdown).await?;
    frame.serve(axum::Router::new(), axum::Router::new()).await
}
