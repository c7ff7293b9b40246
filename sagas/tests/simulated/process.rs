//! The processes: two replicas of the owner and one of the participants, as they would be started, but
//! that whoever simulates says which of their tasks goes on next.

use std::{
    future::poll_fn,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bus::Bus;
use chassis::Shutdown;
use database::{CommitHook, Database};
use event_store::{
    Consumers, Log, LogOptions,
    consumer::ConsumerOptions,
    relay::{self, RelayOptions},
};
use sagas::{CONSUMER, Engine, Options, Workflow};

use super::{
    fate::Fate,
    party::{self, PARTIES, Party, Tally},
    shop::{self, ASKS, Kind, OWNER, Shop, definition},
};

/// The replicas of the owner are the first, and the participants' process is the last.
pub(crate) const PROCESSES: usize = 3;
pub(crate) const OF_PARTIES: usize = PROCESSES - 1;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that a process does by itself.
pub(crate) struct Actor {
    pub(crate) name: &'static str,
    task: Task,
}

impl Actor {
    /// Lets it go on as far as it comes without waiting, whoever woke it. Nothing in here takes turns
    /// with others: what is between two waits is one step.
    pub(crate) async fn goes_on(&mut self) {
        let task = &mut self.task;
        let step = poll_fn(|context| {
            // None of them ends before its process does.
            let _ = task.as_mut().poll(context);
            Poll::Ready(())
        });
        tokio::task::unconstrained(step).await;
        // The log's own tasks have their turn.
        tokio::task::yield_now().await;
    }
}

/// A running process; dropped, it is dead.
pub(crate) struct Process {
    pub(crate) actors: Vec<Actor>,
    pub(crate) database: Database,
    pub(crate) consumers: Consumers,
    /// Where it is the owner's.
    pub(crate) engine: Option<Engine>,
}

/// The folder of one run, and what its processes share.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) fate: Fate,
    pub(crate) bus: Option<Arc<dyn Bus>>,
}

pub(crate) fn url(folder: &Path, name: &str) -> String {
    format!("sqlite:{}", folder.join(format!("{name}.db")).display())
}

pub(crate) async fn open(
    folder: &Path,
    name: &str,
    commit_hook: Option<Arc<dyn CommitHook>>,
) -> database::Result<Database> {
    let options = database::Options {
        commit_hook,
        ..Default::default()
    };
    Database::connect(&url(folder, name), options).await
}

pub(crate) async fn open_log(
    folder: &Path,
    commit_hook: Option<Arc<dyn CommitHook>>,
) -> database::Result<Log> {
    let mut options = LogOptions::default();
    options.database.commit_hook = commit_hook;
    Log::open(&url(folder, "log"), options).await
}

impl Place {
    /// Starts a process anew; the owner's knows these definitions.
    pub(crate) async fn start(
        &self,
        number: usize,
        kinds: &[Kind],
    ) -> Result<Process, sagas::Error> {
        let hook = || Some(self.fate.hook(number));
        let name = match number {
            OF_PARTIES => PARTIES,
            _ => OWNER,
        };
        let database = open(&self.folder, name, hook()).await?;
        let log = open_log(&self.folder, hook()).await?;
        let consumers = Consumers::new(database.clone(), log.clone()).with_options(consuming());
        let shutdown = Shutdown::new();
        let (engine, consumers) = match number {
            OF_PARTIES => (None, self.parties(consumers)),
            _ => {
                let engine = self.engine(&database, &log, kinds).await?;
                let consumers = consumers.add(engine.handler());
                (Some(engine), consumers)
            }
        };
        let relaying = relay::run(database.clone(), log, relaying(name), shutdown.clone());
        let mut actors = vec![Actor {
            name: "relay",
            task: Box::pin(relaying),
        }];
        for (name, task) in consumers.each(self.bus.as_ref(), &shutdown) {
            actors.push(Actor { name, task });
        }
        if let Some(engine) = engine.clone() {
            let replies = consumers.progress(CONSUMER);
            let task = Box::pin(async move { engine.run(replies, shutdown).await });
            let name = "engine";
            actors.push(Actor { name, task });
        }
        Ok(Process {
            actors,
            database,
            consumers,
            engine,
        })
    }

    fn parties(&self, consumers: Consumers) -> Consumers {
        let party = |step| {
            let fate = self.fate.clone();
            sagas::participating::Participating::new(Party { step, fate }, party::OUTBOX)
        };
        let [pay, pack] = ASKS.map(party);
        consumers.add(pay).add(pack).add(Tally)
    }

    async fn engine(
        &self,
        database: &Database,
        log: &Log,
        kinds: &[Kind],
    ) -> Result<Engine, sagas::Error> {
        let workflow = |kind: &Kind| -> Arc<dyn Workflow> {
            Arc::new(Shop {
                definition: definition(*kind),
                fate: self.fate.clone(),
            })
        };
        let workflows = kinds.iter().map(workflow).collect();
        let (database, log) = (database.clone(), log.clone());
        Engine::open(database, log, shop::OUTBOX, workflows, Options::default()).await
    }
}

fn consuming() -> ConsumerOptions {
    ConsumerOptions {
        backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(500),
        max_attempts: 3,
        idle: Duration::from_secs(1),
        ..ConsumerOptions::default()
    }
}

fn relaying(service: &'static str) -> RelayOptions {
    RelayOptions {
        max_backoff: Duration::from_millis(500),
        ..RelayOptions::new(service)
    }
}
