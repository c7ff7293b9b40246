//! An owner of sagas, its participants, or both, running in this process: the relay, the consumers and
//! the engine over one database, put together as a service would.
//!
//! For a first saga, for tests and for programs of one process. A service of several processes puts
//! the same three parts together by itself, since it has other consumers, a bus and an `/ops`, too.

use std::{path::Path, sync::Arc, time::Duration};

use chassis::Shutdown;
use database::Database;
use event_store::{
    Consumers, Handler, Log, LogOptions, Outbox, outbox,
    relay::{self, RelayOptions},
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{CONSUMER, Engine, Error, Options, Saga, Workflow, engine::DECIDED, participant};

/// Between two looks at a saga that is waited for to its very end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running owner. Dropped, it stops at once, as a process that dies: nothing is lost.
pub struct Embedded {
    /// The sagas.
    pub engine: Engine,
    /// The database of the sagas, the participants and whatever else the caller keeps there.
    pub database: Database,
    /// The log.
    pub log: Log,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

impl Embedded {
    /// Brings the tables of outbox, ledger and sagas up to date and runs everything: sagas of
    /// `workflows`, and `participants` that answer them. Events go out as `outbox`'s service.
    ///
    /// # Errors
    /// A faulty definition, or as the database says.
    pub async fn start(
        database: Database,
        log: Log,
        outbox: Outbox,
        workflows: Vec<Arc<dyn Workflow>>,
        participants: Vec<Arc<dyn Handler>>,
    ) -> Result<Self, Error> {
        database.migrate(outbox::migrations()).await?;
        database.migrate(participant::migrations()).await?;
        let service = outbox.service_id();
        let (own, options) = (database.clone(), Options::default());
        let engine = Engine::open(own, log.clone(), outbox, workflows, options).await?;
        let consumers = Consumers::new(database.clone(), log.clone()).add(engine.handler());
        let consumers = participants
            .into_iter()
            .fold(consumers, Consumers::add_shared);
        let shutdown = Shutdown::new();
        let running = {
            let (engine, shutdown) = (engine.clone(), shutdown.clone());
            let relayed = (database.clone(), log.clone());
            let options = RelayOptions::new(service);
            tokio::spawn(async move {
                let replies = consumers.progress(CONSUMER);
                tokio::join!(
                    relay::run(relayed.0, relayed.1, options, shutdown.clone()),
                    consumers.run(None, shutdown.clone()),
                    engine.run(replies, shutdown.clone()),
                );
            })
        };
        Ok(Self {
            engine,
            database,
            log,
            shutdown,
            running,
        })
    }

    /// As [`Embedded::start`], with SQLite files in `folder`: `own.db` and `log.db`.
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub async fn in_folder(
        folder: &Path,
        outbox: Outbox,
        workflows: Vec<Arc<dyn Workflow>>,
        participants: Vec<Arc<dyn Handler>>,
    ) -> Result<Self, Error> {
        let url = |name: &str| format!("sqlite:{}", folder.join(name).display());
        let database = Database::connect(&url("own.db"), database::Options::default()).await?;
        let log = Log::open(&url("log.db"), LogOptions::default()).await?;
        Self::start(database, log, outbox, workflows, participants).await
    }

    /// Waits until a saga has ended, however long that takes: until its participants confirmed, or a
    /// person decided. Who answers a client waits with [`Engine::wait`] instead, which has a bound and
    /// returns as soon as the outcome is decided.
    ///
    /// # Errors
    /// [`Error::NotFound`], or as the database says.
    pub async fn ended(&self, saga: Uuid) -> Result<Saga, Error> {
        let mut moved = self.database.signal(DECIDED);
        loop {
            moved.borrow_and_update();
            let saga = self.engine.load(saga).await?;
            if saga.phase().is_end() {
                return Ok(saga);
            }
            // Another process may end it, too.
            let _ = tokio::time::timeout(LOOK_AGAIN, moved.changed()).await;
        }
    }

    /// Lets what is under way commit, and stops.
    ///
    /// # Errors
    /// When one of the parts panicked.
    pub async fn stop(mut self) -> Result<(), tokio::task::JoinError> {
        self.shutdown.trigger();
        let ended = (&mut self.running).await;
        self.database.close().await;
        ended
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.running.abort();
    }
}
