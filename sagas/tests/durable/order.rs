//! The saga of these tests: sequence and parallel, local steps and asks, both kinds of undo.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Tx, params};
use event_store::NewEvent;
use sagas::{
    Action, Definition, End, LocalOutcome, Outcome, Reply, Retry, Saga, Step, Undo, Workflow,
    WorkflowError,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How long each ask may stay unanswered.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The version whose undos are tried ten times, as they are unless a definition says otherwise.
pub(crate) const PATIENT: u32 = 10;

/// Reserve; then pay, pack and note at the same time; then ship; then close.
pub(crate) fn definition(version: u32) -> Definition {
    let attempts = if version == PATIENT { 10 } else { 2 };
    let patience = Retry::new(attempts, SECOND, 4 * SECOND);
    let undo_ask = Undo::ask().retry(patience);
    let undo_here = Undo::local().retry(patience);
    let here = |name| Step::local(name).retry(patience);
    let ask = |name| Step::ask(name).deadline(DEADLINE).undo(undo_ask.clone());
    Definition::new("order", version)
        .step(here("reserve").undo(undo_here.clone().at_once()))
        .parallel([ask("pay"), ask("pack"), here("note").undo(undo_here)])
        .step(ask("ship").retry(Retry::new(2, 2 * SECOND, 2 * SECOND)))
        .step(here("close"))
}

/// Who misbehaves in a test, and how; everybody else does what is asked.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    conduct: Mutex<HashMap<&'static str, Conduct>>,
    poison: Mutex<Option<Uuid>>,
}

/// How a step's action, or its undo (as `undo:{step}`), goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Conduct {
    #[default]
    Good,
    /// Says no, after having begun.
    Refuses,
    /// Fails the first time, after having begun.
    FailsOnce,
    /// Fails each time, after having begun.
    Fails,
    /// A participant that does it and does not say so.
    Silent,
    /// A participant that is asked, and does it, and answers, all of it twice.
    Twice,
}

impl Plan {
    pub(crate) fn set(&self, what: &'static str, conduct: Conduct) {
        self.lock().insert(what, conduct);
    }

    pub(crate) fn of(&self, what: &str) -> Conduct {
        self.lock().get(what).copied().unwrap_or_default()
    }

    /// The owner's code panics whenever it has to do with this saga; with none, never.
    pub(crate) fn poison(&self, saga: Option<Uuid>) {
        *self.poison.lock().unwrap_or_else(PoisonError::into_inner) = saga;
    }

    fn panic_at(&self, saga: Option<Uuid>) {
        let poison = *self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(poison.is_none() || poison != saga, "this saga is poison");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Conduct>> {
        self.conduct.lock().unwrap_or_else(PoisonError::into_inner)
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
payload!(Asked = "test.asked" { step: String, undo: bool });
payload!(Answered = "test.answered" { step: String, undo: bool, outcome: Outcome });
payload!(Ended = "test.ended" { end: End });

pub(crate) struct Order {
    pub(crate) definition: Definition,
    pub(crate) plan: std::sync::Arc<Plan>,
}

impl Order {
    fn event(saga: &Saga, step: &str, undo: bool) -> NewEvent {
        let asked = Asked {
            step: step.to_owned(),
            undo,
        };
        NewEvent::of(&asked)
            .stream(format!("order-{}", saga.id))
            .aggregate(saga.id)
    }

    fn failure(&self, what: &str, attempt: u32) -> Result<(), WorkflowError> {
        match self.plan.of(what) {
            Conduct::Fails => Err(WorkflowError::Other(format!("{what} fails"))),
            Conduct::FailsOnce if attempt == 1 => {
                Err(WorkflowError::Other(format!("{what} fails once")))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Workflow for Order {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn reply_types(&self) -> &'static [&'static str] {
        &["test.answered"]
    }

    fn reply(&self, event: &Recorded) -> Result<Option<Reply>, WorkflowError> {
        self.plan.panic_at(event.event.saga_id);
        let Answered {
            step,
            undo,
            outcome,
        } = event.event.payload()?;
        Ok(Some(match (undo, outcome) {
            (false, Outcome::Done) => {
                Reply::done(step).with(json!({ "by": event.event.service_id }))
            }
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
        let attempt = saga.step(step).map_or(0, |step| step.attempt);
        self.failure(step, attempt)?;
        if self.plan.of(step) == Conduct::Refuses {
            return Ok(LocalOutcome::Refused(format!("{step} says no")));
        }
        Ok(LocalOutcome::Done(Some(json!({ "attempt": attempt }))))
    }

    fn ask(&self, saga: &Saga, step: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        Ok(Some(Self::event(saga, step, false)))
    }

    async fn undo(&self, tx: &mut Tx, saga: &Saga, step: &str) -> Result<(), WorkflowError> {
        undid(tx, saga.id, step).await?;
        self.plan.panic_at(Some(saga.id));
        let attempt = saga.step(step).map_or(0, |step| step.undo_attempt);
        self.failure(&format!("undo:{step}"), attempt)
    }

    fn undo_ask(&self, saga: &Saga, step: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        Ok(Some(Self::event(saga, step, true)))
    }

    async fn ended(&self, tx: &mut Tx, saga: &Saga, end: End) -> Result<(), WorkflowError> {
        let event = saga.event(&Ended { end });
        let event = event
            .stream(format!("order-{}", saga.id))
            .aggregate(saga.id);
        super::world::OUTBOX.enqueue(tx, event).await?;
        Ok(())
    }
}

/// A step's effect, whoever has it: done once more.
pub(crate) async fn did(tx: &mut Tx, saga: Uuid, step: &str) -> Result<(), database::Error> {
    tx.execute(
        "INSERT INTO effects (saga_id, step, done, undone) VALUES ($1, $2, 1, 0)
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

/// The names of the definition's steps that are done so.
pub(crate) fn steps(action: Action) -> Vec<&'static str> {
    definition(1)
        .steps()
        .filter(|step| step.action() == action)
        .map(Step::name)
        .collect()
}
