//! The saga: note it here; then pay and pack, elsewhere and at the same time.
//!
//! What a saga meets depends on its number alone: one in four is paid and packed, one is refused,
//! one hears nothing, and one is turned back by an operator.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Sql, Tx, params};
use event_store::NewEvent;
use sagas::{
    Definition, End, LocalOutcome, OnTimeout, Reply, Retry, Saga, Step, Undo, Workflow,
    WorkflowError,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What both services have for effects: how often each was done, taken back and made final.
pub(crate) const EFFECTS: Sql = Sql::by_dialect(
    "CREATE TABLE IF NOT EXISTS effects (saga_id UUID, step TEXT, done BIGINT, undone BIGINT,
     final BIGINT, PRIMARY KEY (saga_id, step))",
    "CREATE TABLE IF NOT EXISTS effects (saga_id BLOB, step TEXT, done INTEGER, undone INTEGER,
     final INTEGER, PRIMARY KEY (saga_id, step)) STRICT",
);

/// How long an ask may stay unanswered: long enough for most, so that both ends are seen.
const DEADLINE: Duration = Duration::from_millis(500);

/// What a saga meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Everybody does what is asked.
    Good,
    /// Who is asked for the payment refuses.
    Refused,
    /// Everybody does what is asked, and does not say so.
    Silent,
    /// An operator turns it back.
    TurnedBack,
}

impl Fate {
    pub(crate) fn of(number: u64) -> Self {
        [Self::Good, Self::Refused, Self::Silent, Self::TurnedBack][(number % 4) as usize]
    }
}

macro_rules! payload {
    ($name:ident = $event_type:literal { $($field:ident: $kind:ty),* }) => {
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) struct $name { $(pub(crate) $field: $kind),* }
        impl Payload for $name {
            const TYPE: &'static str = $event_type;
            const SCHEMA_VERSION: i64 = 1;
            const PERSONAL: &'static [&'static str] = &[];
        }
    };
}
payload!(Placed = "test.placed" { number: u64 });
payload!(Revoked = "test.revoked" { number: u64 });
payload!(Completed = "test.completed" { number: u64 });
payload!(Compensated = "test.compensated" { number: u64 });
payload!(Answered = "test.answered" { undo: bool, refusal: Option<String> });

/// The workflow of a saga whose data are its number.
pub(crate) struct Order {
    definition: Definition,
    /// Undos of silent sagas that failed in this process: when both timers of the first one fire
    /// together, and each of them then by itself, so that two timers are put off.
    failed: AtomicU32,
}

impl Order {
    pub(crate) const NAME: &'static str = "order";

    pub(crate) fn new() -> Self {
        let patience = Retry::new(10, Duration::from_millis(500), Duration::from_secs(2));
        let ask = |name| {
            Step::ask(name)
                .deadline(DEADLINE)
                .on_timeout(OnTimeout::Compensate)
                .undo(Undo::ask().retry(patience))
        };
        Self {
            definition: Definition::new(Self::NAME, 1)
                .step(Step::local("note").undo(Undo::local().at_once()))
                .parallel([ask("pay"), ask("pack")]),
            failed: AtomicU32::new(0),
        }
    }

    fn event(saga: &Saga, payload: &impl Payload) -> NewEvent {
        let event = NewEvent::of(payload).stream(format!("order-{}", saga.id));
        event.aggregate(saga.id)
    }
}

#[async_trait]
impl Workflow for Order {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn reply_types(&self) -> &'static [&'static str] {
        &[Answered::TYPE]
    }

    fn reply(&self, event: &Recorded) -> Result<Option<Reply>, WorkflowError> {
        let Answered { undo, refusal } = event.event.payload()?;
        let step = event.event.step.clone().unwrap_or_default();
        Ok(Some(match (undo, refusal) {
            (true, _) => Reply::undone(step),
            (false, None) => Reply::done(step),
            (false, Some(reason)) => Reply::refused(step, reason),
        }))
    }

    async fn act(
        &self,
        tx: &mut Tx,
        saga: &Saga,
        step: &str,
    ) -> Result<LocalOutcome, WorkflowError> {
        did(tx, saga.id, step).await?;
        Ok(LocalOutcome::Done(None))
    }

    /// One event asks both.
    fn ask(&self, saga: &Saga, step: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        let number = saga.data()?;
        Ok((step == "pay").then(|| Self::event(saga, &Placed { number })))
    }

    async fn undo(&self, tx: &mut Tx, saga: &Saga, step: &str) -> Result<(), WorkflowError> {
        undid(tx, saga.id, step).await?;
        Ok(())
    }

    /// One event takes both back; later ones ask again.
    fn undo_ask(
        &self,
        saga: &Saga,
        step: &str,
        attempt: u32,
    ) -> Result<Option<NewEvent>, WorkflowError> {
        let number = saga.data()?;
        let is_silent = Fate::of(number) == Fate::Silent;
        if is_silent && self.failed.fetch_add(1, Ordering::Relaxed) < 3 {
            return Err(WorkflowError::Other("the first undos fail".to_owned()));
        }
        // A step that was refused has no undo; the other one's event must go out by itself.
        let alone = saga.step("pay").is_none_or(|pay| pay.undo_attempt == 0);
        let asks = step == "pay" || attempt > 1 || alone;
        Ok(asks.then(|| Self::event(saga, &Revoked { number })))
    }

    async fn ended(&self, tx: &mut Tx, saga: &Saga, end: End) -> Result<(), WorkflowError> {
        let number = saga.data()?;
        let event = match end {
            End::Completed => saga.event(&Completed { number }),
            End::Compensated | End::Abandoned => saga.event(&Compensated { number }),
        };
        let event = event
            .stream(format!("order-{}", saga.id))
            .aggregate(saga.id);
        crate::system::OWNER.defer(tx, event);
        Ok(())
    }
}

/// An effect, done once more.
pub(crate) async fn did(tx: &mut Tx, saga: Uuid, step: &str) -> Result<(), database::Error> {
    tx.execute(
        "INSERT INTO effects (saga_id, step, done, undone, final) VALUES ($1, $2, 1, 0, 0)
         ON CONFLICT (saga_id, step) DO UPDATE SET done = effects.done + 1",
        params![saga, step],
    )
    .await?;
    Ok(())
}

/// An effect, taken back once more.
pub(crate) async fn undid(tx: &mut Tx, saga: Uuid, step: &str) -> Result<(), database::Error> {
    let sql = "UPDATE effects SET undone = undone + 1 WHERE saga_id = $1 AND step = $2";
    tx.execute(sql, params![saga, step]).await?;
    Ok(())
}
