//! The owner: what its sagas look like, and the steps that it does itself.

use std::time::Duration;

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Tx, params};
use event_store::{NewEvent, Outbox};
use sagas::{
    Definition, End, LocalOutcome, OnTimeout, Outcome, Reply, Retry, Saga, Step, Undo, Workflow,
    WorkflowError,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fate::Fate;

pub(crate) const OWNER: &str = "owner";
pub(crate) const OUTBOX: Outbox = Outbox::new(OWNER);

/// The steps that somebody else does.
pub(crate) const ASKS: [&str; 2] = ["pay", "pack"];

/// How long an ask may stay unanswered.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

const QUICK: Duration = Duration::from_millis(300);

macro_rules! payload {
    ($($name:ident = $event_type:literal { $($field:ident: $kind:ty),* })+) => {$(
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) struct $name { $(pub(crate) $field: $kind),* }
        impl Payload for $name {
            const TYPE: &'static str = $event_type;
            const SCHEMA_VERSION: i64 = 1;
            const PERSONAL: &'static [&'static str] = &[];
        }
    )+};
}
payload! {
    PayAsked = "test.pay.asked" {}
    PayRevoked = "test.pay.revoked" {}
    PackAsked = "test.pack.asked" {}
    PackRevoked = "test.pack.revoked" {}
    Completed = "test.completed" {}
    Noise = "test.noise" {}
    Answered = "test.answered" { step: String, undo: bool, outcome: Outcome }
}

/// What is counted where an effect is, with the effect.
pub(crate) const EFFECTS: &str = "
    CREATE TABLE effects (saga_id BLOB, step TEXT, done INTEGER, undone INTEGER, final INTEGER,
    PRIMARY KEY (saga_id, step)) STRICT";

/// One of the definitions that clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
}

/// Timeouts of the first turn sagas back; of the second let them go on, or turn them back; of the third
/// let them wait for a person.
pub(crate) fn definition(kind: Kind) -> Definition {
    let [pay, pack] = match (kind.name, kind.version) {
        ("order", 1) => [OnTimeout::Compensate; 2],
        ("order", _) => [OnTimeout::Proceed, OnTimeout::Compensate],
        _ => [OnTimeout::Park; 2],
    };
    let patience = Retry::new(3, QUICK, DEADLINE);
    let here = |name, undo: Undo| Step::local(name).retry(patience).undo(undo.retry(patience));
    let ask = |(name, on_timeout)| {
        Step::ask(name)
            .deadline(DEADLINE)
            .retry(patience)
            .on_timeout(on_timeout)
            .undo(Undo::ask().retry(patience))
    };
    let asks: Vec<Step> = ASKS.into_iter().zip([pay, pack]).map(ask).collect();
    let definition = Definition::new(kind.name, kind.version)
        .step(here("note", Undo::local().at_once()))
        .parallel(asks);
    match kind.version {
        1 => definition,
        _ => definition.step(here("wrap", Undo::local())),
    }
}

pub(crate) struct Shop {
    pub(crate) definition: Definition,
    pub(crate) fate: Fate,
}

impl Shop {
    fn fails(&self, step: &str) -> Result<(), WorkflowError> {
        match self.fate.happens(|temper| temper.own_fails) {
            true => Err(WorkflowError::Other(format!("{step} fails"))),
            false => Ok(()),
        }
    }
}

fn asked(saga: &Saga, step: &str, undo: bool) -> Option<NewEvent> {
    let event = match (step, undo) {
        ("pay", false) => NewEvent::of(&PayAsked {}),
        ("pay", true) => NewEvent::of(&PayRevoked {}),
        (_, false) => NewEvent::of(&PackAsked {}),
        (_, true) => NewEvent::of(&PackRevoked {}),
    };
    // In streams of their own half of the time, so that nothing orders them.
    let what = match (undo, saga.id.as_u128() % 2) {
        (true, 0) => "undos",
        _ => "order",
    };
    let stream = format!("{what}-{}", saga.id);
    Some(event.stream(stream).aggregate(saga.id))
}

#[async_trait]
impl Workflow for Shop {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn reply_types(&self) -> &'static [&'static str] {
        &[Answered::TYPE]
    }

    fn reply(&self, event: &Recorded) -> Result<Option<Reply>, WorkflowError> {
        let Answered {
            step,
            undo,
            outcome,
        } = event.event.payload()?;
        Ok(Some(match (undo, outcome) {
            (false, Outcome::Done) => Reply::done(step),
            (false, Outcome::Refused { reason }) => Reply::refused(step, reason),
            (true, Outcome::Done) => Reply::undone(step),
            (true, Outcome::Refused { reason }) => Reply::undo_refused(step, reason),
        }))
    }

    async fn act(
        &self,
        tx: &mut Tx,
        saga: &Saga,
        step: &str,
    ) -> Result<LocalOutcome, WorkflowError> {
        did(tx, saga.id, step).await?;
        self.fails(step)?;
        Ok(match self.fate.happens(|temper| temper.own_refuses) {
            true => LocalOutcome::Refused(format!("{step} says no")),
            false => LocalOutcome::Done(None),
        })
    }

    fn ask(&self, saga: &Saga, step: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        Ok(asked(saga, step, false))
    }

    async fn undo(&self, tx: &mut Tx, saga: &Saga, step: &str) -> Result<(), WorkflowError> {
        undid(tx, saga.id, step).await?;
        self.fails(step)
    }

    fn undo_ask(&self, saga: &Saga, step: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        Ok(asked(saga, step, true))
    }

    async fn ended(&self, tx: &mut Tx, saga: &Saga, end: End) -> Result<(), WorkflowError> {
        if end == End::Completed {
            let event = saga.event(&Completed {});
            let stream = format!("order-{}", saga.id);
            OUTBOX
                .enqueue(tx, event.stream(stream).aggregate(saga.id))
                .await?;
        }
        Ok(())
    }
}

/// A step's effect, whoever has it: done once more.
pub(crate) async fn did(tx: &mut Tx, saga: Uuid, step: &str) -> Result<(), database::Error> {
    tx.execute(
        "INSERT INTO effects (saga_id, step, done, undone, final) VALUES ($1, $2, 1, 0, 0)
         ON CONFLICT (saga_id, step) DO UPDATE SET done = effects.done + 1",
        params![saga, step],
    )
    .await?;
    Ok(())
}

/// A step's effect, whoever has it: taken back once more.
pub(crate) async fn undid(tx: &mut Tx, saga: Uuid, step: &str) -> Result<(), database::Error> {
    let sql = "UPDATE effects SET undone = undone + 1 WHERE saga_id = $1 AND step = $2";
    tx.execute(sql, params![saga, step]).await?;
    Ok(())
}
