//! The leaderboard service: a score per player, quiz mode and period. A participant of the
//! answer-submission saga.
//!
//! Invariants: an answer's points count once, from the moment they are added until they are taken
//! back; the order of a board is total.

mod ahead;
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
use service::{Frame, People, Plan, Service, Settings, Shared, departed, import::Importer};

pub use config::Config;

use crate::{answers::Boards, http::Api, import::FromLegacy, retention::Retention};

/// The service's name: its events' `serviceId`.
pub const SERVICE: &str = "leaderboard";

/// Runs the service until the shutdown.
///
/// # Errors
/// What it could not start with, naming the setting; or the first of its parts that failed.
pub async fn run(config: Config, shared: Shared, shutdown: Shutdown) -> anyhow::Result<()> {
    let options = config.database_options.clone();
    let mut frame = Frame::open_with(options, Plan::of(&config)?, shared, shutdown).await?;
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

impl Service for Config {
    const NAME: &'static str = SERVICE;
    const ABOUT: &'static str = "Who leads, over all time, this week and today.";

    fn settings(&self) -> Settings<'_> {
        service::settings!(self)
    }

    fn people(&self) -> People<'_> {
        People::Named(self.personal_keys.as_deref())
    }

    fn faults(&self) -> Vec<String> {
        self.bonus.faults()
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
