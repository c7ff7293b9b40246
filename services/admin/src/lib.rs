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
use service::{Frame, Plan, Service, Settings, Shared, import::Importer};

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
    let options = config.database_options.clone();
    let mut frame = Frame::open_with(options, Plan::of(&config)?, shared, shutdown).await?;
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

impl Service for Config {
    const NAME: &'static str = "admin";
    const ABOUT: &'static str = "Question curation: edits, bulk import and export.";

    fn settings(&self) -> Settings<'_> {
        service::settings!(self)
    }

    fn faults(&self) -> Vec<String> {
        let is_blind = self.legacy_follow.is_some() && self.legacy_database.is_none();
        let fault = "legacy_follow: there is nothing to follow without `legacy_database`";
        is_blind.then(|| fault.to_owned()).into_iter().collect()
    }

    fn migrations() -> Vec<Migrations> {
        vec![store::migrations()]
    }

    async fn run(self, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
        run(self, shared, shutdown).await
    }
}
