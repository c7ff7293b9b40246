//! The question service: the bank as players read, search and draw from it.
//!
//! Invariant: no public path shows which choice is the right one.

pub mod cache;
pub mod config;
pub mod consumers;
pub mod domain;
pub mod duties;
pub mod error;
pub mod http;
pub mod import;
pub mod reader;
pub mod store;

use std::time::Duration;

use chassis::{Shutdown, identity::Verifier, shutdown::Slept};
use database::{Database, Migrations};
use service::{Frame, Plan, Service, Settings, Shared, departed, import::Importer};

pub use config::Config;

use crate::{
    cache::Cache,
    consumers::{Bank, Users},
    duties::Retention,
    import::FromLegacy,
    reader::Reader,
};

/// How late a question can be found that a replica of the version before wrote.
const INDEX_EVERY: Duration = Duration::from_secs(30);

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut frame = Frame::open(Plan::of(&config)?, shared, shutdown).await?;
    frame.consume(Bank::new(frame.outbox.clone()));
    frame.consume(Users);
    frame.duty(Retention);
    let cache = Cache::default();
    frame.metrics.register(|registry| cache.register(registry));
    let (db, end) = (frame.database.clone(), frame.shutdown.clone());
    frame.spawn(
        "cache",
        cache::follow(db.clone(), cache.clone(), end.clone()),
    );
    frame.spawn("search", index(db.clone(), end));
    let importer = Importer::new(FromLegacy, db.clone(), config.legacy_database);
    frame.spawn(
        "import",
        importer.clone().run_at_start(frame.shutdown.clone()),
    );
    let api = http::router(http::App {
        reader: Reader::new(db, cache),
        verifier: Verifier::jwks(config.jwks_url),
    });
    frame.serve(api, importer.verbs()).await
}

impl Service for Config {
    const NAME: &'static str = "question";
    const ABOUT: &'static str = "The question bank as players read, search and draw from it.";

    fn settings(&self) -> Settings<'_> {
        service::settings!(self)
    }

    fn migrations() -> Vec<Migrations> {
        vec![store::migrations(), departed::migrations()]
    }

    async fn run(self, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
        run(self, shared, shutdown).await
    }
}

/// Indexes for the search what others than this version wrote.
async fn index(db: Database, shutdown: Shutdown) -> anyhow::Result<()> {
    loop {
        match store::index::refresh(&db).await {
            Ok(0) => {}
            Ok(questions) => tracing::info!(questions, "indexed for the search"),
            Err(error) => tracing::warn!(%error, "cannot index for the search now"),
        }
        if shutdown.sleep(INDEX_EVERY).await == Slept::ShutDown {
            return Ok(());
        }
    }
}
