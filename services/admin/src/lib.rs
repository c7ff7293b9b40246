//! The admin service: curators' questions. It owns the `question-*` streams.
//!
//! Invariant: a question and the event that tells of its edit are one transaction.

pub mod config;
pub mod domain;
pub mod error;

pub use config::Config;

use chassis::Shutdown;
use service::{Frame, Plan, Shared};

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let plan = Plan {
        name: "admin",
        about: "Question curation: edits, bulk import and export.",
        listen: config.listen,
        database: &config.database,
        ops_token: config.ops_token,
        migrations: Vec::new(),
    };
    let frame = Frame::open(plan, shared, shutdown).await?;
    frame.serve(axum::Router::new(), axum::Router::new()).await
}
