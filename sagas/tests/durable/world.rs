//! One service with its sagas and its participants, over one database and one log, that can die at
//! any commit and be started again.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use contracts::{Event, Payload, Recorded};
use database::{Database, Sql, Timestamp, params};
use event_store::{Append, Expected, Log, LogOptions, Outbox, ReadQuery, outbox};
use sagas::{
    Action, Engine, ManualClock, Outcome, Phase, Progress, Saga, Timer, Undoing,
    participant::Ledger,
};
use testkit::{Backend, CommitFaults, eventually};
use uuid::Uuid;

use super::{
    order::{Answered, Conduct, Ended, Plan, definition},
    process::{Parts, Process},
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
        let log = Log::open(&log_backend.url, LogOptions::default())
            .await
            .expect("a log");
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
        database
            .migrate(outbox::migrations())
            .await
            .expect("the outbox");
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

    pub(crate) async fn open(&self) -> Database {
        let commit_hook: Arc<dyn database::CommitHook> = self.faults.clone();
        let commit_hook = Some(commit_hook);
        self.backend
            .open(database::Options {
                commit_hook,
                ..Default::default()
            })
            .await
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
        // Its relay's lease would run out by itself in a while.
        let database = self.open().await;
        database
            .execute("DELETE FROM leases", params![])
            .await
            .expect("free leases");
        database.close().await;
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
        saga.state
            .steps
            .iter()
            .zip(definition(1).steps())
            .all(|(step, declared)| {
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
                assert_eq!(
                    names,
                    ["close", "note", "pack", "pay", "reserve", "ship"],
                    "{plan}"
                );
                assert!(
                    rows.iter().all(|row| (row.1, row.2) == (1, 0)),
                    "{rows:?}, {plan}"
                );
            }
            Phase::Compensated => {
                assert!(saga.state.rolled_back, "{plan}");
                assert!(
                    rows.iter().all(|row| row.1 == row.2 && row.1 <= 1),
                    "{rows:?}, {plan}"
                );
            }
            other => panic!("{other:?} is not the end that was wanted: {plan}"),
        }
        assert!(
            saga.ended_at.is_some() && saga.state.timers().count() == 0,
            "{plan}"
        );
        let (deadlines,): (i64,) = self
            .database()
            .fetch_one(
                "SELECT COUNT(*) FROM saga_deadlines WHERE saga_id = $1",
                params![saga.id],
            )
            .await
            .expect("a count");
        assert_eq!(deadlines, 0, "{plan}");
        assert_eq!(self.count("parked_events").await, 0, "{plan}");
        self.check_log(saga).await;
    }

    /// The end is in the log, once.
    async fn check_log(&self, saga: &Saga) {
        let log = self.log.clone();
        let (id, what) = (saga.id, saga.phase());
        let events = eventually(PATIENCE, || async {
            let events = events_of(&log, id).await;
            let told = events
                .iter()
                .any(|event| event.event.event_type == Ended::TYPE);
            told.then_some(events)
        })
        .await;
        let ends: Vec<_> = events
            .iter()
            .filter(|event| event.event.event_type == Ended::TYPE)
            .collect();
        assert_eq!(ends.len(), 1, "{events:?}");
        assert_eq!(ends[0].event.payload["end"], what.as_str());
        for event in &events {
            assert_eq!(
                (event.event.saga_id, event.event.correlation_id),
                (Some(id), id)
            );
        }
    }

    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let sql = match table {
            "parked_events" => "SELECT COUNT(*) FROM parked_events",
            "saga_replies" => "SELECT COUNT(*) FROM saga_replies",
            other => panic!("{other}"),
        };
        let (count,): (i64,) = self
            .database()
            .fetch_one(sql, params![])
            .await
            .expect("a count");
        count
    }

    /// Stops the process; nobody does anything until the next start.
    pub(crate) async fn stop(&mut self) {
        self.process.take().expect("a running process").stop().await;
    }

    /// Puts a participant's answer straight into the log.
    pub(crate) async fn answer(&self, id: Uuid, step: &str, undo: bool) -> Recorded {
        self.append(answer(id, step, undo, Outcome::Done)).await
    }

    /// What a participant says, for a handler alone: the log does not have it.
    pub(crate) fn unlogged(&self, id: Uuid, step: &str, undo: bool, outcome: Outcome) -> Recorded {
        Recorded {
            epoch: self.log.epoch(),
            position: 1,
            recorded_at: None,
            event: answer(id, step, undo, outcome),
        }
    }

    async fn append(&self, event: Event) -> Recorded {
        let recorded = Append {
            event: event.clone(),
            expected: Expected::Any,
        };
        let appended = self
            .log
            .append(vec![recorded])
            .await
            .expect("an appended answer");
        Recorded {
            epoch: self.log.epoch(),
            position: appended[0].position,
            recorded_at: None,
            event,
        }
    }

    /// Runs a timer out: moves the clock to when it is due.
    pub(crate) async fn run_out(&self, id: Uuid, step: &str, timer: Timer) {
        let due = self.saga(id).await.step(step).expect("a step").timers[&timer];
        self.clock.advance_to(due);
    }
}

/// What a participant says about a step that it did, or undid.
fn answer(id: Uuid, step: &str, undo: bool, outcome: Outcome) -> Event {
    let payload = Answered {
        step: step.to_owned(),
        undo,
        outcome,
    };
    Event {
        id: Uuid::now_v7(),
        event_type: Answered::TYPE.to_owned(),
        stream: format!("answer-{}", Uuid::now_v7()),
        aggregate_id: id.to_string(),
        version: 1,
        schema_version: 1,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: Timestamp::system().into(),
        correlation_id: id,
        causation_id: None,
        saga_id: Some(id),
        step: Some(step.to_owned()),
        service_id: "participants".to_owned(),
        traceparent: None,
    }
}

/// All events of a saga, in the log's order.
pub(crate) async fn events_of(log: &Log, saga: Uuid) -> Vec<Recorded> {
    log.read(&ReadQuery::after(0).limit(1000).correlation(saga))
        .await
        .expect("events")
}
