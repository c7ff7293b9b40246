//! One service with its sagas and its participants, over one database and one log, that can die at
//! any commit and be started again.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use chassis::Shutdown;
use contracts::{Payload, Recorded};
use database::{Database, Sql, Timestamp, params};
use event_store::{
    Consumers, Log, LogOptions, Outbox, ReadQuery,
    consumer::ConsumerOptions,
    outbox,
    relay::{self, RelayOptions},
};
use sagas::{
    Action, CONSUMER, Clock, Engine, ManualClock, NewSaga, Options, Phase, Progress, Saga, Timer,
    Undoing, Workflow, participant::Ledger,
};
use serde_json::json;
use testkit::{Backend, CommitFaults, eventually};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    order::{Conduct, Ended, Order, Plan, definition},
    participants::Participants,
};

pub(crate) const OUTBOX: Outbox = Outbox::new("owner");

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    backend: Backend,
    _log_backend: Backend,
    pub(crate) log: Log,
    pub(crate) faults: Arc<CommitFaults>,
    pub(crate) clock: ManualClock,
    pub(crate) plan: Arc<Plan>,
    process: Option<Process>,
    /// Deaths that [`World::drive`] saw since the last look.
    deaths: u32,
}

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
    pub(crate) async fn new(backend: Backend) -> Self {
        let mut world = Self::asleep(backend).await;
        world.process = Some(world.spawn(Parts::All, &[1]).await);
        world
    }

    /// A world in which no process runs.
    pub(crate) async fn asleep(backend: Backend) -> Self {
        let log_backend = match backend.name {
            "postgres" => Backend::postgres().await,
            _ => Backend::sqlite(),
        };
        let log = Log::open(&log_backend.url, LogOptions::default()).await.expect("a log");
        let faults = CommitFaults::new();
        let world = Self {
            backend,
            _log_backend: log_backend,
            log,
            faults,
            clock: ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000)),
            plan: Arc::default(),
            process: None,
            deaths: 0,
        };
        let database = world.open().await;
        database.migrate(outbox::migrations()).await.expect("the outbox");
        Ledger::migrate(&database).await.expect("the ledger");
        let effects = Sql::by_dialect(
            "CREATE TABLE effects (saga_id UUID, step TEXT, done BIGINT, undone BIGINT,
             PRIMARY KEY (saga_id, step))",
            "CREATE TABLE effects (saga_id BLOB, step TEXT, done INTEGER, undone INTEGER,
             PRIMARY KEY (saga_id, step)) STRICT",
        );
        database.execute(effects, params![]).await.expect("a table");
        database.close().await;
        world
    }

    async fn open(&self) -> Database {
        let commit_hook: Arc<dyn database::CommitHook> = self.faults.clone();
        let commit_hook = Some(commit_hook);
        self.backend.open(database::Options { commit_hook, ..Default::default() }).await
    }

    /// Starts a process that knows these versions of the definition.
    pub(crate) async fn spawn(&self, parts: Parts, versions: &[u32]) -> Process {
        let database = self.open().await;
        let workflow = |version: &u32| -> Arc<dyn Workflow> {
            Arc::new(Order { definition: definition(*version), plan: Arc::clone(&self.plan) })
        };
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let options = Options { clock, ..Options::default() };
        let workflows = versions.iter().map(workflow).collect();
        let engine = Engine::open(database.clone(), self.log.clone(), OUTBOX, workflows, options)
            .await
            .expect("an engine");
        let quick = ConsumerOptions {
            silence: Duration::from_millis(20),
            backoff: Duration::from_millis(5),
            ..ConsumerOptions::default()
        };
        let consumers = Consumers::new(database.clone(), self.log.clone())
            .with_options(quick)
            .add(engine.handler())
            .add(Participants { plan: Arc::clone(&self.plan) });
        let shutdown = Shutdown::new();
        let running = {
            let (engine, database) = (engine.clone(), database.clone());
            let (log, shutdown) = (self.log.clone(), shutdown.clone());
            let quick = Duration::from_millis(5);
            let options = RelayOptions { backoff: quick, ..RelayOptions::new("owner") };
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
        Process { database, engine, shutdown, running }
    }

    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("a running process")
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.process().engine
    }

    pub(crate) fn database(&self) -> &Database {
        &self.process().database
    }

    /// Stops the process and starts it again; what it had not committed is gone.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(&[1]).await;
    }

    pub(crate) async fn restart_with(&mut self, versions: &[u32]) {
        if let Some(process) = self.process.take() {
            process.stop().await;
        }
        self.faults.revive();
        self.process = Some(self.spawn(Parts::All, versions).await);
    }

    /// Starts a saga as a client does.
    pub(crate) async fn start(&self, id: Uuid) -> Result<Saga, sagas::Error> {
        self.process().start(id).await
    }

    pub(crate) async fn started(&self) -> Uuid {
        let id = Uuid::now_v7();
        self.start(id).await.expect("a started saga");
        id
    }

    pub(crate) async fn saga(&self, id: Uuid) -> Saga {
        self.engine().load(id).await.expect("a saga")
    }

    /// Waits until the saga is as wanted.
    pub(crate) async fn until(&self, id: Uuid, wanted: impl Fn(&Saga) -> bool) -> Saga {
        eventually(PATIENCE, || async {
            match self.engine().load(id).await {
                Ok(saga) if wanted(&saga) => ControlFlow::Break(saga),
                Ok(saga) => ControlFlow::Continue(format!("{:?}", saga.state)),
                Err(error) => ControlFlow::Continue(error.to_string()),
            }
        })
        .await
    }

    /// Drives a saga to its end: restarts the process when it died, starts the saga as a client
    /// would when it is not there, and lets time pass whenever only silence is waited for.
    pub(crate) async fn drive(&mut self, id: Uuid) -> Saga {
        let began = std::time::Instant::now();
        loop {
            assert!(began.elapsed() < PATIENCE, "the saga does not end");
            if self.faults.is_dead() {
                self.deaths += 1;
                self.restart().await;
            }
            let saga = match self.engine().load(id).await {
                Ok(saga) => saga,
                Err(_) => {
                    // The commit may be lost, or only its answer; a client asks again.
                    let _ = self.start(id).await;
                    continue;
                }
            };
            if saga.phase().is_end() {
                return saga;
            }
            if self.waits_only_for_time(&saga)
                && let Some(next) = saga.state.timers().map(|(_, _, due)| due).min()
            {
                self.clock.advance_to(next);
            }
            tokio::task::yield_now().await;
            self.look_again().await;
        }
    }

    /// How often the process died since this was asked last.
    pub(crate) fn deaths(&mut self) -> u32 {
        std::mem::take(&mut self.deaths) + u32::from(self.faults.is_dead())
    }

    /// Between two looks at a saga that others move.
    async fn look_again(&self) {
        let mut head = self.log.appended();
        let _ = tokio::time::timeout(Duration::from_millis(10), head.changed()).await;
    }

    /// Whether nobody will move the saga but the clock.
    pub(crate) fn waits_only_for_time(&self, saga: &Saga) -> bool {
        let silent = |what: &str| self.plan.of(what) == Conduct::Silent;
        saga.state.steps.iter().zip(definition(1).steps()).all(|(step, declared)| {
            let asked = declared.action() == Action::Ask && step.progress == Progress::Started;
            let undo_asked = declared.undoing().action() == Some(Action::Ask)
                && step.undo == Undoing::Started;
            (!asked || silent(&step.name))
                && (!undo_asked || silent(&format!("undo:{}", step.name)))
        })
    }

    /// What holds for every saga that has ended.
    pub(crate) async fn check_end(&self, saga: &Saga) {
        let plan = format!("{:?}, {:?}", self.plan, saga.state);
        let rows: Vec<(String, i64, i64)> = self
            .database()
            .fetch_all(
                "SELECT step, done, undone FROM effects WHERE saga_id = $1 ORDER BY step",
                params![saga.id],
            )
            .await
            .expect("effects");
        match saga.phase() {
            Phase::Completed => {
                let names: Vec<_> = rows.iter().map(|row| row.0.as_str()).collect();
                assert_eq!(names, ["close", "note", "pack", "pay", "reserve", "ship"], "{plan}");
                assert!(rows.iter().all(|row| (row.1, row.2) == (1, 0)), "{rows:?}, {plan}");
            }
            Phase::Compensated => {
                assert!(saga.state.rolled_back, "{plan}");
                assert!(rows.iter().all(|row| row.1 == row.2 && row.1 <= 1), "{rows:?}, {plan}");
            }
            other => panic!("{other:?} is not the end that was wanted: {plan}"),
        }
        assert!(saga.ended_at.is_some() && saga.state.timers().count() == 0, "{plan}");
        for table in ["saga_deadlines", "parked_events", "saga_replies"] {
            assert_eq!(self.count(table).await, 0, "{table}: {plan}");
        }
        self.check_log(saga).await;
    }

    /// The end is in the log, once.
    async fn check_log(&self, saga: &Saga) {
        let log = self.log.clone();
        let (id, what) = (saga.id, saga.phase());
        let events = eventually(PATIENCE, || async {
            let events = events_of(&log, id).await;
            let told = events.iter().any(|event| event.event.event_type == Ended::TYPE);
            told.then_some(events)
        })
        .await;
        let ends: Vec<_> =
            events.iter().filter(|event| event.event.event_type == Ended::TYPE).collect();
        assert_eq!(ends.len(), 1, "{events:?}");
        assert_eq!(ends[0].event.payload["end"], what.as_str());
        for event in &events {
            assert_eq!((event.event.saga_id, event.event.correlation_id), (Some(id), id));
        }
    }

    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let sql = match table {
            "saga_deadlines" => "SELECT COUNT(*) FROM saga_deadlines",
            "parked_events" => "SELECT COUNT(*) FROM parked_events",
            "saga_replies" => "SELECT COUNT(*) FROM saga_replies",
            other => panic!("{other}"),
        };
        let (count,): (i64,) = self.database().fetch_one(sql, params![]).await.expect("a count");
        count
    }

    /// Runs a timer out: moves the clock to when it is due.
    pub(crate) async fn run_out(&self, id: Uuid, step: &str, timer: Timer) {
        let due = self.saga(id).await.step(step).expect("a step").timers[&timer];
        self.clock.advance_to(due);
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
        self.running.await.expect("the process ends without a panic");
        self.database.close().await;
    }
}

/// All events of a saga, in the log's order.
pub(crate) async fn events_of(log: &Log, saga: Uuid) -> Vec<Recorded> {
    log.read(&ReadQuery::after(0).limit(1000).correlation(saga)).await.expect("events")
}
