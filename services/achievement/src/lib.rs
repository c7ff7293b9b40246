//! The achievement service: what answers earn. A participant of the answer-submission saga.
//!
//! Invariants: a badge is `earned` while its answer is undecided, and shown to nobody before it is
//! `unlocked`; an answer that is taken back leaves nothing behind; a user who left leaves nothing
//! behind either, and does not come back.

pub mod answers;
pub mod audit;
pub mod config;
pub mod domain;
pub mod http;
pub mod import;
pub mod retention;
pub mod store;

use chassis::{Shutdown, identity::Verifier};
use database::Migrations;
use sagas::{participant, participating::Participating};
use service::{Frame, Plan, Service, Settings, Shared, departed, import::Importer};

pub use config::Config;

use crate::{answers::Badges, http::Api, import::FromLegacy, retention::Retention};

/// The service's name: its events' `serviceId`.
pub const SERVICE: &str = "achievement";

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let options = config.database_options.clone();
    let mut frame = Frame::open_with(options, Plan::of(&config)?, shared, shutdown).await?;
    frame.consume(Participating::new(Badges, frame.outbox.clone()));
    frame.duty(Retention::days(config.retention_days));
    let importer = Importer::new(FromLegacy, frame.database.clone(), config.legacy_database);
    frame.spawn(
        "import",
        importer.clone().run_at_start(frame.shutdown.clone()),
    );
    let books = audit::verbs(frame.database.clone(), frame.consumers().clone());
    let verbs = importer.verbs().merge(books);
    let api = Api {
        db: frame.database.clone(),
        verifier: Verifier::jwks(config.jwks_url),
    };
    frame.serve(http::router(api), verbs).await
}

impl Service for Config {
    const NAME: &'static str = SERVICE;
    const ABOUT: &'static str = "Badges: what there is to earn, and what a player has earned.";

    fn settings(&self) -> Settings<'_> {
        service::settings!(self)
    }

    fn migrations() -> Vec<Migrations> {
        vec![
            participant::migrations(),
            departed::migrations(),
            store::migrations(),
        ]
    }

    async fn run(self, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
        run(self, shared, shutdown).await
    }
}
