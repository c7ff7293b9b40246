//! The system, put together as services are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bus::{Bus, NatsBus, NatsOptions};
use chassis::Shutdown;
use contracts::Payload;
use database::{Database, Options, params};
use event_store::{
    Consumers, Log, LogOptions, Outbox, consumer::ConsumerOptions, outbox, publisher::Publisher,
    relay, relay::RelayOptions,
};
use sagas::{CONSUMER, Engine, participant::Ledger, participating::Participating};
use tokio::task::JoinSet;

use crate::{
    Arguments, archiving,
    operator::Wait,
    order::{Completed, EFFECTS, Order, Placed},
    tally::{TALLIES, Tally},
    till::Till,
};

/// The outbox of the service that owns the sagas.
pub(crate) const OWNER: Outbox = Outbox::new("owner");

/// The consumer that passes over nearly everything.
pub(crate) const NARROW: &str = "narrow";

/// The consumer that never takes some.
pub(crate) const PICKY: &str = "picky";

/// The outbox of the service that takes part in them.
const TILL: Outbox = Outbox::new("till");

/// A running system.
pub(crate) struct System {
    pub(crate) log: Log,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) owner: Database,
    pub(crate) till: Database,
    pub(crate) engine: Engine,
    /// Those of both services.
    pub(crate) consumers: [Consumers; 2],
    /// While it is set, some events cannot be handled.
    strict: Arc<AtomicBool>,
    shutdown: Shutdown,
    tasks: JoinSet<()>,
}

impl System {
    /// Opens everything and lets it run.
    pub(crate) async fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let log = Log::open(&arguments.log, LogOptions::default()).await?;
        let bus = NatsBus::connect(&arguments.nats, NatsOptions::default()).await?;
        let bus: Arc<dyn Bus> = Arc::new(bus);
        let owner = service(&arguments.owner).await?;
        let till = service(&arguments.till).await?;
        Ledger::migrate(&till).await?;
        let workflows: Vec<Arc<dyn sagas::Workflow>> =
            vec![Arc::new(Order::new()), Arc::new(Wait::new())];
        let options = sagas::Options::default();
        let engine = Engine::open(owner.clone(), log.clone(), OWNER, workflows, options).await?;
        let strict = Arc::new(AtomicBool::new(true));
        let mut of_owner = consumers(&owner, &log)
            .add(engine.handler())
            .add(tally(&strict))
            .add(narrow())
            .add(picky());
        for name in &arguments.newcomers {
            // Its name lives as long as the process, as that of any consumer.
            let name: &'static str = String::leak(name.clone());
            let (types, strict) = (&[Completed::TYPE] as &[_], None);
            of_owner = of_owner.add(Tally {
                name,
                types,
                strict,
            });
        }
        let of_till = consumers(&till, &log)
            .add(Participating::new(Till { step: "pay" }, TILL))
            .add(Participating::new(Till { step: "pack" }, TILL))
            .add(tally(&strict))
            .add(narrow())
            .add(picky());
        let mut system = Self {
            log,
            bus,
            owner,
            till,
            engine,
            consumers: [of_owner, of_till],
            strict,
            shutdown: Shutdown::new(),
            tasks: JoinSet::new(),
        };
        system.run();
        if let Some(folder) = arguments.archive.clone() {
            let end = system.shutdown.clone();
            let archiving = archiving::run(system.log.clone(), folder, end);
            system.tasks.spawn(archiving);
        }
        Ok(system)
    }

    fn run(&mut self) {
        let (tasks, end) = (&mut self.tasks, &self.shutdown);
        let places = [(&self.owner, OWNER), (&self.till, TILL)];
        for ((database, outbox), consumers) in places.into_iter().zip(&self.consumers) {
            let options = RelayOptions::new(outbox.service_id());
            tasks.spawn(relay::run(
                database.clone(),
                self.log.clone(),
                options,
                end.clone(),
            ));
            let (consumers, bus, end) = (consumers.clone(), Arc::clone(&self.bus), end.clone());
            tasks.spawn(async move { consumers.run(Some(bus), end).await });
        }
        let (engine, replies, shutdown) = (
            self.engine.clone(),
            self.consumers[0].progress(CONSUMER),
            end.clone(),
        );
        tasks.spawn(async move { engine.run(replies, shutdown).await });
        let publisher = Publisher::new(self.log.clone(), Arc::clone(&self.bus));
        tasks.spawn(publisher.run(end.clone()));
    }

    /// From here on everything can be handled.
    pub(crate) fn relent(&self) {
        self.strict.store(false, Ordering::Relaxed);
    }

    /// Ends everything in order.
    pub(crate) async fn stop(mut self) {
        self.shutdown.trigger();
        while self.tasks.join_next().await.is_some() {}
        self.owner.close().await;
        self.till.close().await;
    }
}

async fn service(url: &str) -> anyhow::Result<Database> {
    let database = Database::connect(url, Options::default()).await?;
    database.migrate(outbox::migrations()).await?;
    database.execute(EFFECTS, params![]).await?;
    database.execute(TALLIES, params![]).await?;
    Ok(database)
}

fn consumers(database: &Database, log: &Log) -> Consumers {
    let options = ConsumerOptions {
        silence: Duration::from_millis(50),
        backoff: Duration::from_millis(20),
        idle: Duration::from_millis(300),
        ..ConsumerOptions::default()
    };
    Consumers::new(database.clone(), log.clone()).with_options(options)
}

/// Counts everything.
fn tally(strict: &Arc<AtomicBool>) -> Tally {
    Tally {
        name: "tally",
        types: &[],
        strict: Some(Arc::clone(strict)),
    }
}

/// Passes over nearly everything.
fn narrow() -> Tally {
    Tally {
        name: NARROW,
        types: &[Placed::TYPE],
        strict: None,
    }
}

/// Never relents.
fn picky() -> Tally {
    Tally {
        name: PICKY,
        types: &[Placed::TYPE],
        strict: Some(Arc::new(AtomicBool::new(true))),
    }
}
