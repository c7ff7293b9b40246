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
use service::{Frame, Plan, Shared, departed, import::Importer};

pub use config::Config;

use crate::{answers::Badges, http::Api, import::FromLegacy, retention::Retention};

/// The service's name: its events' `serviceId`.
pub const SERVICE: &str = "achievement";

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let plan = Plan {
        name: SERVICE,
        about: "Badges: what there is to earn, and what a player has earned.",
        listen: config.listen,
        database: &config.database,
        ops_token: config.ops_token,
        migrations: migrations(),
    };
    let mut frame = Frame::open_with(config.database_options, plan, shared, shutdown).await?;
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

/// What its database is made of, beside the outbox.
fn migrations() -> Vec<Migrations> {
    vec![
        participant::migrations(),
        departed::migrations(),
        store::migrations(),
    ]
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
