//! The question service: the bank as players may read it.
//!
//! Invariant: no public path shows which choice is the right one.

pub mod config;
pub mod consumers;
pub mod domain;
pub mod error;
pub mod http;
pub mod import;
pub mod store;

use chassis::Shutdown;
use service::{Frame, Plan, Shared, import::Importer};

pub use config::Config;

use crate::{consumers::Bank, import::FromLegacy};

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let plan = Plan {
        name: "question",
        about: "The question bank as players may read it.",
        listen: config.listen,
        database: &config.database,
        ops_token: config.ops_token,
        migrations: vec![store::migrations()],
    };
    let mut frame = Frame::open(plan, shared, shutdown).await?;
    frame.consume(Bank);
    let importer = Importer::new(FromLegacy, frame.database.clone(), config.legacy_database);
    frame.spawn(
        "import",
        importer.clone().run_at_start(frame.shutdown.clone()),
    );
    let api = http::router(frame.database.clone());
    frame.serve(api, importer.verbs()).await
}
