//! The quiz service: answers, stats, and the saga that every answer runs through.
//!
//! Invariants: an answer counts in the stats exactly while it is pending or completed; a player has
//! one undecided answer at a time; nothing that a client sees tells whether an undecided or
//! compensated answer was right; a user who left leaves nothing behind and does not come back.

pub mod audit;
pub mod config;
pub mod consumers;
pub mod domain;
pub mod error;
pub mod http;
pub mod import;
pub mod retention;
pub mod saga;
pub mod store;
pub mod submission;
pub mod tally;

use std::{sync::Arc, time::Duration};

use chassis::{Shutdown, identity::Verifier};
use database::Migrations;
use sagas::{Engine, Workflow};
use service::{Frame, People, Plan, Service, Settings, Shared, departed, import::Importer};

pub use config::Config;

use crate::{
    consumers::{Accounts, Questions},
    http::Api,
    import::FromLegacy,
    retention::Retention,
    saga::AnswerSubmission,
    submission::Submissions,
};

/// The service's name: its events' `serviceId`.
pub const SERVICE: &str = "quiz";

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let options = config.database_options.clone();
    let mut frame = Frame::open_with(options, Plan::of(&config)?, shared, shutdown).await?;
    let engine = open_engine(&frame, Duration::from_millis(config.answer_deadline_ms)).await?;
    frame
        .metrics
        .register(|registry| engine.metrics().register(registry));
    frame.consume(engine.handler());
    frame.consume(Questions);
    frame.consume(Accounts::new(engine.clone(), frame.outbox.clone()));
    frame.duty(Retention::days(config.retention_days, engine.clone()));
    let replies = frame.consumers().progress(sagas::CONSUMER);
    let (sagas, end) = (engine.clone(), frame.shutdown.clone());
    frame.spawn("sagas", async move {
        sagas.run(replies, end).await;
        Ok(())
    });

    let predecessor_wait = Duration::from_millis(config.predecessor_wait_ms);
    let submissions = Submissions::new(frame.database.clone(), engine.clone(), predecessor_wait);
    frame.spawn(
        "keys",
        submissions.clone().prune_keys(frame.shutdown.clone()),
    );
    let importer = Importer::new(FromLegacy, frame.database.clone(), config.legacy_database);
    frame.spawn(
        "import",
        importer.clone().run_at_start(frame.shutdown.clone()),
    );

    let verbs = importer
        .verbs()
        .merge(audit::verbs(
            frame.database.clone(),
            frame.consumers().clone(),
        ))
        .merge(engine.ops());
    let api = Api {
        submissions,
        verifier: Verifier::jwks(config.jwks_url),
    };
    frame.serve(http::router(api), verbs).await
}

impl Service for Config {
    const NAME: &'static str = SERVICE;
    const ABOUT: &'static str = "Answers, and what a player has reached with them.";

    fn settings(&self) -> Settings<'_> {
        service::settings!(self)
    }

    fn people(&self) -> People<'_> {
        People::Named(self.personal_keys.as_deref())
    }

    fn migrations() -> Vec<Migrations> {
        vec![
            departed::migrations(),
            store::migrations(),
            sagas::migrations(),
        ]
    }

    async fn run(self, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
        run(self, shared, shutdown).await
    }
}

async fn open_engine(frame: &Frame, deadline: Duration) -> anyhow::Result<Engine> {
    let workflow = AnswerSubmission::new(deadline, frame.outbox.clone());
    let workflows: Vec<Arc<dyn Workflow>> = vec![Arc::new(workflow)];
    let (database, log) = (frame.database.clone(), frame.log.clone());
    let options = sagas::Options::default();
    Ok(Engine::open(database, log, frame.outbox.clone(), workflows, options).await?)
}
