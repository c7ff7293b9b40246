//! One transition: the pure function decides, this carries its effects out in the transaction.
//!
//! A crash anywhere in here leaves nothing: the caller's commit makes all of it true at once.

use std::{collections::VecDeque, sync::Arc};

use chassis::trace::Span;
use contracts::events::SagaIntervened;
use database::{Timestamp, Tx};
use event_store::NewEvent;
use faults::Mutation;

use super::Inner;
use crate::{
    Error, Saga, Workflow,
    state::{Outcome, Phase},
    store, trace,
    transition::{Effect, End, Input, Intervention, transition},
    workflow::{LocalOutcome, WorkflowError},
};

/// Raised by a commit that set timers and does not know for when.
pub(super) const TIMERS: &str = "sagas.timers";

/// Raised by a commit that decided a saga, as far as whoever waits for it is concerned.
pub(crate) const DECIDED: &str = "sagas.decided";

/// What a local action's error does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// The step is rolled back alone and its retry policy decides.
    Retry,
    /// The whole transition is given up: the caller is told, and nothing was started.
    GiveUp,
}

/// How a transition is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steering {
    on_failure: OnFailure,
}

impl Steering {
    /// For a saga that the caller's transaction starts, at the time that it was made with.
    pub(super) const fn starting() -> Self {
        Self {
            on_failure: OnFailure::GiveUp,
        }
    }

    /// For a saga that exists.
    pub(super) const fn going_on() -> Self {
        Self {
            on_failure: OnFailure::Retry,
        }
    }
}

impl Inner {
    /// Moves a saga that `tx` has locked or that has just begun, and runs the effects. It is written
    /// by [`Inner::write`], together with others.
    pub(super) async fn move_saga(
        &self,
        tx: &mut Tx,
        saga: &mut Saga,
        workflow: &dyn Workflow,
        steering: Steering,
        input: Input,
    ) -> Result<(), Error> {
        let mut span = trace::moving(self.outbox.service_id(), saga, &input);
        let context = span.context();
        let making = self.make_move(tx, saga, workflow, steering, input, &mut span);
        let moved = context.scope(making).await;
        match &moved {
            Ok(()) => {}
            // A reply or a timer that comes late, twice or out of turn changes nothing.
            Err(Error::Illegal(why)) => span.set_text("banyan.saga.ignored", why),
            Err(error) => span.fail("saga", error),
        }
        moved
    }

    async fn make_move(
        &self,
        tx: &mut Tx,
        saga: &mut Saga,
        workflow: &dyn Workflow,
        steering: Steering,
        input: Input,
        span: &mut Span,
    ) -> Result<(), Error> {
        if steering.on_failure == OnFailure::Retry {
            saga.updated_at = match faults::is_on(Mutation::DeadlineByLocalClock) {
                true => Timestamp::system(),
                false => self.clock.now_within(tx).await?,
            };
        }
        saga.about_to_move();
        let was_decided = saga.is_decided();
        let phase = saga.state.phase;
        let mut inputs = Vec::new();
        let mut queue = VecDeque::from([input]);
        while let Some(input) = queue.pop_front() {
            let definition = workflow.definition();
            let moved = transition(definition, &saga.state, &input, saga.updated_at);
            // Only the first input may be refused as if nothing had happened.
            let (state, effects) = moved.map_err(|illegal| {
                if inputs.is_empty() {
                    Error::Illegal(illegal)
                } else {
                    Error::Diverged(illegal)
                }
            })?;
            saga.state = state;
            inputs.push(input);
            for effect in effects {
                let follows = self.carry_out(tx, saga, workflow, steering, effect).await?;
                queue.extend(follows);
            }
        }
        if saga.state.phase.is_end() {
            saga.ended_at = Some(saga.updated_at);
        }
        if let Some(first) = inputs.first() {
            trace::moved(span, saga, phase, first);
        }
        saga.has_moved(&inputs)?;
        if !was_decided {
            self.tell_decision(tx, saga);
        }
        self.metrics.moved(saga, phase);
        Ok(())
    }

    /// Writes sagas that have moved.
    pub(super) async fn write<'a>(
        &self,
        tx: &mut Tx,
        sagas: impl IntoIterator<Item = &'a mut Saga>,
    ) -> Result<(), Error> {
        if let Some(nearest) = store::write(tx, sagas).await? {
            let alarm = Arc::clone(&self.alarm);
            tx.on_commit(move || alarm.is_set_for(nearest));
        }
        Ok(())
    }

    /// Tells whoever waits for a saga, where it is decided.
    pub(super) fn tell_decision(&self, tx: &mut Tx, saga: &Saga) {
        if saga.is_decided() {
            let (waiters, id) = (Arc::clone(&self.waiters), saga.id);
            tx.on_commit(move || waiters.tell(id));
            tx.signal(DECIDED);
        }
    }

    /// Runs one effect; what a local action came to is the saga's next input.
    async fn carry_out(
        &self,
        tx: &mut Tx,
        saga: &mut Saga,
        workflow: &dyn Workflow,
        steering: Steering,
        effect: Effect,
    ) -> Result<Option<Input>, Error> {
        match effect {
            Effect::Act { step, attempt } => {
                saga.enter(&step, "act", attempt);
                let (outcome, result) = match self.act(tx, saga, workflow, steering, &step).await? {
                    Ran::Well(LocalOutcome::Done(result)) => (Outcome::Done, result),
                    Ran::Well(LocalOutcome::Refused(reason)) => (Outcome::Refused { reason }, None),
                    Ran::Failed(error) => return Ok(Some(Input::Failed { step, error })),
                };
                Ok(Some(Input::Answered {
                    step,
                    outcome,
                    result,
                }))
            }
            Effect::Undo { step, attempt } => {
                saga.enter(&step, "undo", attempt);
                Ok(Some(match self.undo(tx, saga, workflow, &step).await? {
                    Ran::Well(()) => Input::Undone { step },
                    Ran::Failed(error) => Input::UndoFailed { step, error },
                }))
            }
            Effect::Ask { step, attempt } => {
                saga.enter(&step, "ask", attempt);
                let asked = workflow.ask(saga, &step, attempt);
                self.emit(tx, saga, asked.map_err(failed_at(&step))?);
                Ok(None)
            }
            Effect::AskUndo { step, attempt } => {
                saga.enter(&step, "undo_ask", attempt);
                let asked = workflow.undo_ask(saga, &step, attempt);
                self.emit(tx, saga, asked.map_err(failed_at(&step))?);
                Ok(None)
            }
            Effect::Intervened(by) => {
                saga.enter("operator", by.verb.name(), version_number(saga));
                self.tell_intervention(tx, saga, &by);
                Ok(None)
            }
            Effect::Ended(end) => {
                let name = end_name(end);
                saga.enter(name, "end", 0);
                workflow
                    .ended(tx, saga, end)
                    .await
                    .map_err(failed_at(name))?;
                Ok(None)
            }
        }
    }

    async fn act(
        &self,
        tx: &mut Tx,
        saga: &Saga,
        workflow: &dyn Workflow,
        steering: Steering,
        step: &str,
    ) -> Result<Ran<LocalOutcome>, Error> {
        tx.savepoint();
        match workflow.act(tx, saga, step).await {
            Ok(LocalOutcome::Refused(reason)) => {
                tx.take_back().await?;
                Ok(Ran::Well(LocalOutcome::Refused(reason)))
            }
            Err(source) if steering.on_failure == OnFailure::GiveUp => Err(failed_at(step)(source)),
            ran => settle_step(tx, step, ran).await,
        }
    }

    async fn undo(
        &self,
        tx: &mut Tx,
        saga: &Saga,
        workflow: &dyn Workflow,
        step: &str,
    ) -> Result<Ran<()>, Error> {
        tx.savepoint();
        let ran = workflow.undo(tx, saga, step).await;
        settle_step(tx, step, ran).await
    }

    /// Puts an ask into the outbox, tied to the saga.
    fn emit(&self, tx: &mut Tx, saga: &Saga, event: Option<NewEvent>) {
        if let Some(event) = event {
            self.outbox.defer(tx, saga.stamp(event));
        }
    }

    /// Publishes who did what to a saga, and why.
    pub(super) fn tell_intervention(&self, tx: &mut Tx, saga: &Saga, by: &Intervention) {
        let payload = SagaIntervened {
            saga: saga.id,
            verb: by.verb.name().to_owned(),
            target: by.verb.target().map(ToOwned::to_owned),
            outcome: by.verb.outcome().map(|outcome| outcome.as_str().to_owned()),
            actor: by.actor.clone(),
            reason: by.reason.clone(),
        };
        let event = saga
            .event(&payload)
            .stream(format!("saga-{}", saga.id))
            .aggregate(saga.id);
        self.outbox.defer(tx, event);
    }
}

/// What came of a local action.
enum Ran<T> {
    Well(T),
    Failed(String),
}

/// Keeps what a step wrote, or takes that alone back. A database that is gone takes the whole
/// transaction with it.
async fn settle_step<T>(
    tx: &mut Tx,
    step: &str,
    ran: Result<T, WorkflowError>,
) -> Result<Ran<T>, Error> {
    match ran {
        Ok(value) => {
            tx.release().await?;
            Ok(Ran::Well(value))
        }
        Err(WorkflowError::Database(error)) if error.is_transient() => {
            Err(failed_at(step)(error.into()))
        }
        Err(error) => {
            tracing::warn!(step, %error, "a local step of a saga failed");
            tx.take_back().await?;
            Ok(Ran::Failed(error.to_string()))
        }
    }
}

fn failed_at(step: &str) -> impl FnOnce(WorkflowError) -> Error {
    let step = step.to_owned();
    move |source| match source {
        WorkflowError::Database(error) => Error::Database(error),
        source => Error::Workflow { step, source },
    }
}

const fn end_name(end: End) -> &'static str {
    match end {
        End::Completed => Phase::Completed.as_str(),
        End::Compensated => Phase::Compensated.as_str(),
        End::Abandoned => Phase::Abandoned.as_str(),
    }
}

/// The version as the number of an attempt: an operator's act happens once at each version.
fn version_number(saga: &Saga) -> u32 {
    u32::try_from(saga.version).unwrap_or(u32::MAX)
}
