//! The admin service: curators' questions. It owns the `question-*` streams.
//!
//! Invariants: a question and the event that tells of its edit are one transaction; a curator reads
//! every own write at once; an edit that names another version than the current one changes nothing.

pub mod config;
pub mod consumers;
pub mod curation;
pub mod domain;
pub mod error;
pub mod follow;
pub mod http;
pub mod import;
pub mod metrics;
pub mod ops;
pub mod store;

use chassis::{Shutdown, identity::Verifier};
use database::Migrations;
use service::{Frame, Plan, Shared, import::Importer};

pub use config::Config;

use crate::{
    consumers::Confirmations, curation::Curation, follow::Follower, http::App, import::FromLegacy,
    metrics::Metrics,
};

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    check(&config)?;
    let plan = Plan {
        name: "admin",
        about: "Question curation: edits, bulk import and export.",
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
    frame.consume(Confirmations);

    let (db, outbox) = (frame.database.clone(), frame.outbox.clone());
    let follower = Follower::new(db.clone(), outbox.clone(), metrics.clone());
    let from_legacy = FromLegacy {
        follower: config.legacy_follow.map(|_| follower.clone()),
    };
    let importer = Importer::new(from_legacy, db.clone(), config.legacy_database.clone());
    frame.spawn(
        "import",
        importer.clone().run_at_start(frame.shutdown.clone()),
    );
    if let (Some(every), Some(url)) = (config.legacy_follow, config.legacy_database) {
        let following = follower.run(url, every.duration(), frame.shutdown.clone());
        frame.spawn("follow", following);
    }

    let app = App {
        curation: Curation::new(db.clone(), outbox, metrics),
        verifier: Verifier::jwks(config.jwks_url),
    };
    let verbs = importer.verbs().merge(ops::verbs(db));
    frame.serve(http::router(app), verbs).await
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
    service::migrate("admin", &config.database, migrations()).await
}

/// Finds what [`run`] would refuse about a configuration that could be read.
///
/// # Errors
/// The faults.
pub fn check(config: &Config) -> anyhow::Result<()> {
    if config.legacy_follow.is_some() && config.legacy_database.is_none() {
        let fault = "legacy_follow: there is nothing to follow without `legacy_database`";
        return Err(chassis::config::Faults(vec![fault.to_owned()]).into());
    }
    Ok(chassis::ops::check(
        config.listen,
        config.ops_token.as_deref(),
    )?)
}
