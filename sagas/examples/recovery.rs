//! How long a restart takes while very many sagas wait, and how much memory:
//! `cargo xtask bench recovery [-- SAGAS]`, on SQLite and on PostgreSQL.
//!
//! Recovered is a process that starts a saga, takes an answer, and fires a deadline. What waits is not
//! read for that; where its definition is missing, each saga is parked, and resumed when it is back.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Database, Sql, params};
use event_store::{Append, Expected, Log, LogOptions, NewEvent, Outbox};
use sagas::{Definition, Embedded, NewSaga, OnTimeout, Reply, Saga, Step, Workflow, WorkflowError};
use serde_json::json;
use testkit::Backend;
use uuid::Uuid;

const OWNER: Outbox = Outbox::new("bench");

/// Sagas that wait unless told otherwise.
const SAGAS: i64 = 100_000;

/// What a restart may take.
const BAR: Duration = Duration::from_secs(5);

/// How long a saga waits for its answer: those that are waited for by nobody, and the one whose
/// deadline is to pass.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOMENT: Duration = Duration::from_millis(50);

type Outcome<T> = Result<T, Box<dyn Error>>;

sagas::payloads! {
    Asked = "bench.asked" {},
    Answered = "bench.answered" {},
}

/// One ask that nobody answers.
struct Waiting(Definition);

#[async_trait]
impl Workflow for Waiting {
    fn definition(&self) -> &Definition {
        &self.0
    }
    fn reply_types(&self) -> &'static [&'static str] {
        &[Answered::TYPE]
    }
    fn reply(&self, _: &Recorded) -> Result<Option<Reply>, WorkflowError> {
        Ok(Some(Reply::done("wait")))
    }
    fn ask(&self, saga: &Saga, _: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        let event = NewEvent::of(&Asked {}).aggregate(saga.id);
        Ok(Some(event.stream(format!("wait-{}", saga.id))))
    }
    fn undo_ask(&self, _: &Saga, _: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        Ok(None)
    }
}

fn waiting(name: &'static str, version: u32, deadline: Duration) -> Arc<dyn Workflow> {
    let step = Step::ask("wait")
        .deadline(deadline)
        .on_timeout(OnTimeout::Proceed);
    Arc::new(Waiting(Definition::new(name, version).step(step)))
}

/// Databases of one kind, and what runs on them.
struct Bench {
    own: Backend,
    log: Backend,
}

impl Bench {
    async fn start(&self, version: u32) -> Outcome<Embedded> {
        let database = self.own.open(database::Options::default()).await;
        let log = Log::open(&self.log.url, LogOptions::default()).await?;
        let workflows = vec![waiting("long", version, DAY), waiting("brief", 1, MOMENT)];
        Ok(Embedded::start(database, log, OWNER, workflows, Vec::new()).await?)
    }

    async fn run(&self, sagas: i64) -> Outcome<bool> {
        let running = self.start(1).await?;
        let pattern = started(&running, "long").await?;
        multiply(&running.database, pattern, sagas).await?;
        running.stop().await?;

        let (memory, began) = (resident()?, Instant::now());
        let running = self.start(1).await?;
        let (new, brief) = (
            started(&running, "long").await?,
            started(&running, "brief").await?,
        );
        answer(&running.log, new).await?;
        let ended = running.ended(new).await?;
        running.ended(brief).await?;
        let took = began.elapsed();
        let grown = resident()?.saturating_sub(memory);
        running.stop().await?;

        let parked = self.until_state(2, "parked", sagas).await?;
        let resumed = self.until_state(1, "running", sagas).await?;
        println!(
            "| {} | {sagas} | {:.3} s | {} MiB | {:.1} s | {:.1} s |",
            self.own.name,
            took.as_secs_f64(),
            grown / 1024,
            parked.as_secs_f64(),
            resumed.as_secs_f64(),
        );
        Ok(ended.phase().is_end() && took < BAR)
    }

    /// How long it takes a process that knows this version to bring all into `state`.
    async fn until_state(&self, version: u32, state: &str, sagas: i64) -> Outcome<Duration> {
        let began = Instant::now();
        let running = self.start(version).await?;
        loop {
            let sql = "SELECT COUNT(*) FROM sagas WHERE state = $1";
            let (count,): (i64,) = running.database.fetch_one(sql, params![state]).await?;
            if count >= sagas {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let took = began.elapsed();
        running.stop().await?;
        Ok(took)
    }
}

async fn started(running: &Embedded, definition: &'static str) -> Outcome<Uuid> {
    let id = Uuid::now_v7();
    let mut tx = running.database.begin().await?;
    let new = NewSaga::new(definition, id, json!({ "for": "an answer" }));
    running.engine.start(&mut tx, new).await?;
    tx.commit().await?;
    Ok(id)
}

/// Writes `sagas` more like this one, with their deadlines.
async fn multiply(database: &Database, pattern: Uuid, sagas: i64) -> Outcome<()> {
    const COPY: Sql = Sql::by_dialect(
        "INSERT INTO sagas (id, definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at)
         SELECT gen_random_uuid(), definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at
         FROM sagas, generate_series(1, $2) WHERE id = $1",
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $2)
         INSERT INTO sagas (id, definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at)
         SELECT randomblob(16), definition, definition_version, state, version, correlation_id,
             data, rolled_back, steps, policy, created_at, updated_at
         FROM sagas, number WHERE id = $1",
    );
    database.execute(COPY, params![pattern, sagas]).await?;
    let timers = "INSERT INTO saga_deadlines (saga_id, step, kind, due_at)
                  SELECT sagas.id, step, kind, due_at FROM sagas, saga_deadlines
                  WHERE saga_id = $1 AND sagas.id <> $1";
    database.execute(timers, params![pattern]).await?;
    Ok(())
}

/// Puts the answer to a saga into the log, as a participant elsewhere does.
async fn answer(log: &Log, saga: Uuid) -> Outcome<()> {
    let event = contracts::Event {
        id: Uuid::now_v7(),
        event_type: Answered::TYPE.to_owned(),
        stream: format!("answer-{saga}"),
        aggregate_id: saga.to_string(),
        version: 1,
        schema_version: 1,
        payload: json!({}),
        timestamp: database::Timestamp::system().into(),
        correlation_id: saga,
        causation_id: None,
        saga_id: Some(saga),
        step: Some("wait".to_owned()),
        service_id: "bench".to_owned(),
        traceparent: None,
    };
    let expected = Expected::Any;
    log.append(vec![Append { event, expected }]).await?;
    Ok(())
}

/// KiB of memory that this process has.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS")?.parse()?)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let sagas = match std::env::args().nth(1) {
        Some(number) => number.parse()?,
        None => SAGAS,
    };
    println!("| database | waiting | recovered | memory | all parked | all resumed |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let sqlite = Bench {
        own: Backend::sqlite(),
        log: Backend::sqlite(),
    };
    let postgres = Bench {
        own: Backend::postgres().await,
        log: Backend::postgres().await,
    };
    let held = sqlite.run(sagas).await? & postgres.run(sagas).await?;
    if held {
        Ok(())
    } else {
        Err(format!("a restart took longer than {BAR:?}").into())
    }
}
