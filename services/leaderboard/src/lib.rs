//! The leaderboard service: a score per player, quiz mode and period. A participant of the
//! answer-submission saga.
//!
//! Invariants: an answer's points count once, from the moment they are added until they are taken
//! back; the order of a board is total.

pub mod answers;
pub mod audit;
pub mod config;
pub mod domain;
pub mod error;
pub mod http;
pub mod import;
mod players;
pub mod retention;
pub mod store;
pub mod upkeep;

use chassis::{Shutdown, http::live::Live, identity::Verifier};
use database::Migrations;
use sagas::{participant, participating::Participating};
use service::{Frame, Plan, Shared, departed, import::Importer};

pub use config::Config;

use crate::{answers::Boards, http::Api, import::FromLegacy, retention::Retention};

/// The service's name: its events' `serviceId`.
pub const SERVICE: &str = "leaderboard";

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    check(&config)?;
    let plan = Plan {
        name: SERVICE,
        about: "Who leads, over all time, this week and today.",
        listen: config.listen,
        database: &config.database,
        ops_token: config.ops_token,
        migrations: migrations(),
    };
    let mut frame = Frame::open_with(config.database_options, plan, shared, shutdown).await?;
    upkeep::at_start(&frame.database).await?;
    let boards = Boards {
        bonus: config.bonus,
    };
    frame.consume(Participating::new(boards, frame.outbox.clone()));
    frame.duty(Retention::days(config.retention_days));
    let importer = Importer::new(FromLegacy, frame.database.clone(), config.legacy_database);
    frame.spawn(
        "import",
        importer.clone().run_at_start(frame.shutdown.clone()),
    );
    frame.spawn(
        "upkeep",
        upkeep::watch(frame.database.clone(), frame.shutdown.clone()),
    );
    let live = Live::new(
        domain::watched(),
        config.max_streams,
        frame.shutdown.clone(),
    );
    frame.spawn("live", http::watch(live.clone(), frame.database.clone()));
    let books = audit::verbs(frame.database.clone(), frame.consumers().clone());
    let verbs = importer.verbs().merge(books);
    let verbs = verbs.merge(upkeep::verbs(frame.database.clone()));
    let api = Api {
        db: frame.database.clone(),
        verifier: Verifier::jwks(config.jwks_url),
        live,
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
    config.check()?;
    Ok(chassis::ops::check(
        config.listen,
        config.ops_token.as_deref(),
    )?)
}
