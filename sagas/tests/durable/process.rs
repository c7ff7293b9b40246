//! A process of the service: relay, consumers and engine over its database.

use std::{sync::Arc, time::Duration};

use chassis::Shutdown;
use database::Database;
use event_store::{
    Consumers,
    consumer::ConsumerOptions,
    relay::{self, RelayOptions},
};
use sagas::{CONSUMER, Clock, Engine, NewSaga, Options, Saga, Workflow};
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    order::{Order, definition},
    participants::Participants,
    world::{OUTBOX, World},
};

/// A running process: relay, consumers and engine.
pub(crate) struct Process {
    pub(crate) database: Database,
    pub(crate) engine: Engine,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

/// Which parts of a process run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    All,
    /// Nobody reads events; the engine's timers run.
    TimersOnly,
}

impl World {
    /// Starts a process that knows these versions of the definition.
    pub(crate) async fn spawn(&self, parts: Parts, versions: &[u32]) -> Process {
        self.spawn_with(Arc::new(self.clock.clone()), parts, versions)
            .await
    }

    /// As [`World::spawn`], with a clock of its own.
    pub(crate) async fn spawn_with(
        &self,
        clock: Arc<dyn Clock>,
        parts: Parts,
        versions: &[u32],
    ) -> Process {
        let database = self.open().await;
        let engine = self.engine_over(&database, clock, versions).await;
        let quick = ConsumerOptions {
            silence: Duration::from_millis(20),
            backoff: Duration::from_millis(5),
            ..ConsumerOptions::default()
        };
        let consumers = Consumers::new(database.clone(), self.log.clone())
            .with_options(quick)
            .add(engine.handler())
            .add(Participants {
                plan: Arc::clone(&self.plan),
            });
        let shutdown = Shutdown::new();
        let running = {
            let (engine, database) = (engine.clone(), database.clone());
            let (log, shutdown) = (self.log.clone(), shutdown.clone());
            let quick = Duration::from_millis(5);
            let options = RelayOptions {
                backoff: quick,
                ..RelayOptions::new("owner")
            };
            tokio::spawn(async move {
                match parts {
                    Parts::All => {
                        let progress = consumers.progress(CONSUMER);
                        tokio::join!(
                            relay::run(database, log, options, shutdown.clone()),
                            consumers.run(None, shutdown.clone()),
                            engine.run(progress, shutdown.clone()),
                        );
                    }
                    Parts::TimersOnly => engine.run(None, shutdown).await,
                }
            })
        };
        Process {
            database,
            engine,
            shutdown,
            running,
        }
    }

    /// An engine that nothing runs.
    pub(crate) async fn engine_over(
        &self,
        database: &Database,
        clock: Arc<dyn Clock>,
        versions: &[u32],
    ) -> Engine {
        let workflow = |version: &u32| -> Arc<dyn Workflow> {
            Arc::new(Order {
                definition: definition(*version),
                plan: Arc::clone(&self.plan),
            })
        };
        let options = Options {
            clock,
            ..Options::default()
        };
        let workflows = versions.iter().map(workflow).collect();
        Engine::open(
            database.clone(),
            self.log.clone(),
            OUTBOX,
            workflows,
            options,
        )
        .await
        .expect("an engine")
    }
}

impl Process {
    pub(crate) async fn start(&self, id: Uuid) -> Result<Saga, sagas::Error> {
        let mut tx = self.database.begin().await?;
        let new = NewSaga::new("order", id, json!({ "goods": "tea" }));
        let saga = self.engine.start(&mut tx, new).await?;
        tx.commit().await?;
        Ok(saga)
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running
            .await
            .expect("the process ends without a panic");
        self.database.close().await;
    }
}
