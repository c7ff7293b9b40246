//! What operators do, and what gives them something to do: streams that a stranger has written into,
//! events that a consumer never takes, timers of nobody, sagas whose definition is missing for a while,
//! and people whose key is to be erased. Each twice in a run, and each again in the next when the process died at it.

use anyhow::Context;
use async_trait::async_trait;
use chassis::Shutdown;
use contracts::{Event, Payload, Recorded};
use database::{Timestamp, params};
use event_store::{Append, NewEvent, consumer::Start, relay::clear_error};
use sagas::{
    Definition, Engine, Error, Intervention, NewSaga, Options, Reply, Saga, Step, Undo, Verb,
    Workflow, WorkflowError,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    beside,
    load::LOOK_AGAIN,
    system::{NARROW, OWNER, PICKY, System},
};

/// How often each is done in a run.
const TWICE: u64 = 2;

/// An event that the log refuses.
#[derive(Debug, Serialize, Deserialize)]
struct Noise {}

impl Payload for Noise {
    const TYPE: &'static str = "test.noise";
    const SCHEMA_VERSION: i64 = 1;
    const PERSONAL: &'static [&'static str] = &[];
}

/// A saga that waits for an answer which never comes.
pub(crate) struct Wait(Definition);

impl Wait {
    const NAME: &'static str = "wait";

    pub(crate) fn new() -> Self {
        let hour = std::time::Duration::from_secs(3600);
        let hold = Step::ask("hold").deadline(hour).undo(Undo::none());
        Self(Definition::new(Self::NAME, 1).step(hold))
    }
}

#[async_trait]
impl Workflow for Wait {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn reply_types(&self) -> &'static [&'static str] {
        &[]
    }

    fn reply(&self, _: &Recorded) -> Result<Option<Reply>, WorkflowError> {
        Ok(None)
    }

    fn ask(&self, _: &Saga, _: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        Ok(None)
    }

    fn undo_ask(&self, _: &Saga, _: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        Ok(None)
    }
}

fn id(run: u64, number: u64) -> Uuid {
    let high = 0x0190_0000_0000_7000_9000_0000_0000_0000;
    Uuid::from_u128(high | u128::from(run) << 8 | u128::from(number))
}

/// Before anything else: what the last run left open is given up, and streams are taken that this run
/// writes into.
pub(crate) async fn prepares(system: &System, run: u64) -> anyhow::Result<()> {
    let sql = "SELECT id FROM sagas WHERE definition = 'wait' AND ended_at IS NULL";
    let left: Vec<(Uuid,)> = system.owner.fetch_all(sql, params![]).await?;
    for (saga,) in left {
        gives_up(&system.engine, saga).await?;
    }
    for consumers in &system.consumers {
        let stopped = consumers.list().await?;
        for status in stopped.iter().filter(|status| status.paused) {
            consumers.resume(&status.name).await?;
        }
    }
    beside::clears_up(system).await?;
    // As the log's process does.
    system.log.announce_erasures().await?;
    for number in 0..TWICE {
        let stream = format!("noise-{run}-{number}");
        let stranger = stranger(id(run, number), &stream);
        system.log.append(vec![Append::exact(stranger)]).await?;
        let mut tx = system.owner.begin().await?;
        let event = NewEvent::of(&Noise {}).id(id(run, TWICE + number));
        OWNER.enqueue(&mut tx, event.stream(stream)).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn stranger(id: Uuid, stream: &str) -> Event {
    Event {
        id,
        event_type: "test.stranger".to_owned(),
        stream: stream.to_owned(),
        aggregate_id: String::new(),
        version: 1,
        schema_version: 1,
        payload: json!({}),
        timestamp: OffsetDateTime::UNIX_EPOCH,
        correlation_id: id,
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: "stranger".to_owned(),
        traceparent: None,
    }
}

/// Once all has come to its end.
pub(crate) async fn acts(system: &System, run: u64) -> anyhow::Result<()> {
    for consumers in &system.consumers {
        consumers.pause(NARROW).await?;
        consumers.resume(NARROW).await?;
        consumers.replay(NARROW, Start::Beginning).await?;
        for parked in consumers.parked(Some(PICKY), 1_000).await? {
            consumers.discard(PICKY, parked.event_id).await?;
        }
    }
    let sql = "SELECT id FROM outbox WHERE error IS NOT NULL ORDER BY sequence DESC LIMIT 2";
    let stuck: Vec<(Uuid,)> = system.owner.fetch_all(sql, params![]).await?;
    for (event,) in stuck {
        clear_error(&system.owner, event).await?;
    }
    for number in 0..TWICE {
        beside::rebuilds(system).await?;
        let person = format!("person-{run}-{number}");
        let erased = system.log.erase_personal(&person, "ops", "asked for");
        erased.await?;
        a_timer_is_nobodys(system).await?;
        a_definition_is_missing(system, id(run, 2 * TWICE + number)).await?;
    }
    Ok(())
}

/// A timer that runs out, of a saga that does not have it.
async fn a_timer_is_nobodys(system: &System) -> anyhow::Result<()> {
    let mut tx = system.owner.begin().await?;
    tx.execute(
        "INSERT INTO saga_deadlines (saga_id, step, kind, due_at)
         SELECT id, 'note', 'retry', $1 FROM sagas WHERE ended_at IS NOT NULL ORDER BY id LIMIT 1",
        params![Timestamp::from_micros(0)],
    )
    .await?;
    tx.signal("sagas.timers");
    tx.commit().await?;
    let sql = "SELECT COUNT(*) FROM saga_deadlines WHERE step = 'note' AND kind = 'retry'";
    while count(system, sql).await? > 0 {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// A replica that does not know a saga's definition sets it aside; the other lets it go on.
async fn a_definition_is_missing(system: &System, saga: Uuid) -> anyhow::Result<()> {
    let mut tx = system.owner.begin().await?;
    let new = NewSaga::new(Wait::NAME, saga, json!({}));
    system.engine.start(&mut tx, new).await?;
    tx.commit().await?;
    let (database, log) = (system.owner.clone(), system.log.clone());
    let ignorant = Engine::open(database, log, OWNER, Vec::new(), Options::default()).await?;
    let end = Shutdown::new();
    let running = tokio::spawn({
        let end = end.clone();
        async move { ignorant.run(None, end).await }
    });
    // Started, set aside, and gone on with.
    while system.engine.load(saga).await?.version < 3 {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    end.trigger();
    running.await?;
    gives_up(&system.engine, saga).await
}

async fn gives_up(engine: &Engine, saga: Uuid) -> anyhow::Result<()> {
    let by = Intervention {
        verb: Verb::Abandon,
        actor: "ops".to_owned(),
        reason: "nobody answers".to_owned(),
    };
    match engine.intervene(saga, by, None).await {
        // Another death came after it.
        Ok(_) | Err(Error::Illegal(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn count(system: &System, sql: &'static str) -> anyhow::Result<i64> {
    let row: (i64,) = system.owner.fetch_one(sql, params![]).await.context(sql)?;
    Ok(row.0)
}
