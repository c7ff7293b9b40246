//! What operators do: acts on sagas, and what timeouts mean for new ones.

use contracts::events::SagaPolicyChanged;
use event_store::NewEvent;
use faults::Write;
use uuid::Uuid;

use super::{Engine, Inner, moves::Steering};
use crate::{
    Error, Outline, Saga,
    definition::OnTimeout,
    store,
    transition::{IllegalMove, Input, Intervention, Verb},
};

/// An operator's decision about one step's timeouts, for sagas that start from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The definition's name.
    pub definition: String,
    /// The step.
    pub step: String,
    /// What a passed deadline shall mean.
    pub on_timeout: OnTimeout,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl Engine {
    /// Acts on a saga, and publishes who did it and why.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Moved`] when the saga is no longer at `if_version`;
    /// [`Error::Illegal`] when the act does not fit where it stands.
    pub async fn intervene(
        &self,
        id: Uuid,
        by: Intervention,
        if_version: Option<i64>,
    ) -> Result<Saga, Error> {
        let inner = &self.inner;
        let mut tx = inner.database.begin().await?;
        let mut saga = store::lock(&mut tx, id).await?.ok_or(Error::NotFound(id))?;
        if let Some(expected) = if_version.filter(|expected| *expected != saga.version) {
            return Err(Error::Moved {
                saga: id,
                expected,
                actual: saga.version,
            });
        }
        let verb = by.verb.name();
        match inner.workflows.of(&saga).cloned() {
            Some(workflow) => {
                let (steering, input) = (Steering::going_on(), Input::Intervened(by));
                inner
                    .move_saga(&mut tx, &mut saga, workflow.as_ref(), steering, input)
                    .await?;
            }
            None => inner.abandon_unknown(&mut tx, &mut saga, &by).await?,
        }
        inner.write(&mut tx, [&mut saga]).await?;
        faults::before(Write::SagaVerb);
        tx.commit().await?;
        faults::after(Write::SagaVerb);
        inner.metrics.intervened(verb);
        Ok(saga)
    }

    /// Decides what a timeout means for sagas that start from now on, and publishes it.
    ///
    /// # Errors
    /// [`Error::NotRegistered`] or [`IllegalMove::UnknownStep`] for what does not exist.
    pub async fn set_policy(&self, change: &PolicyChange) -> Result<(), Error> {
        let inner = &self.inner;
        let definition = inner.workflows.newest(&change.definition)?.definition();
        if definition.find(&change.step).is_none() {
            return Err(IllegalMove::UnknownStep(change.step.clone()).into());
        }
        let mut tx = inner.database.begin().await?;
        let now = inner.clock.now_within(&mut tx).await?;
        let about = (change.definition.as_str(), change.step.as_str());
        let by = (change.actor.as_str(), change.reason.as_str());
        store::set_policy(&mut tx, about, change.on_timeout, by, now).await?;
        let payload = SagaPolicyChanged {
            definition: change.definition.clone(),
            target: change.step.clone(),
            on_timeout: change.on_timeout.as_str().to_owned(),
            actor: change.actor.clone(),
            reason: change.reason.clone(),
        };
        let service = inner.outbox.service_id();
        let event = NewEvent::of(&payload)
            .stream(format!("saga-policies-{service}"))
            .aggregate(&change.definition);
        inner.outbox.enqueue(&mut tx, event).await?;
        Ok(tx.commit().await?)
    }

    /// The saga's definition, as operators see it; `None` where it is not registered.
    pub(crate) fn outline(&self, saga: &Saga) -> Option<Outline> {
        let workflow = self.inner.workflows.of(saga)?;
        Some(workflow.definition().outline())
    }

    /// The newest version of each registered definition's steps with what a timeout of each means.
    pub(crate) fn timeout_defaults(&self) -> Vec<(&'static str, &'static str, OnTimeout)> {
        let workflows = &self.inner.workflows;
        let mut defaults = Vec::new();
        for workflow in workflows.by_key.values() {
            let definition = workflow.definition();
            let newest = workflows.newest(definition.name());
            if newest.is_ok_and(|newest| newest.definition().version() == definition.version()) {
                defaults.extend(
                    definition
                        .steps()
                        .map(|step| (definition.name(), step.name(), step.timeout_policy())),
                );
            }
        }
        defaults.sort_unstable_by_key(|(definition, step, _)| (*definition, *step));
        defaults
    }
}

impl Inner {
    /// Without its definition a saga can only be given up.
    async fn abandon_unknown(
        &self,
        tx: &mut database::Tx,
        saga: &mut Saga,
        by: &Intervention,
    ) -> Result<(), Error> {
        if saga.state.phase.is_end() {
            return Err(IllegalMove::Ended(saga.state.phase).into());
        }
        let state = saga
            .state
            .abandoned(&by.reason)
            .filter(|_| by.verb == Verb::Abandon);
        let Some(state) = state else {
            return Err(IllegalMove::Suspended.into());
        };
        saga.enter(
            "operator",
            by.verb.name(),
            u32::try_from(saga.version).unwrap_or(u32::MAX),
        );
        self.tell_intervention(tx, saga, by);
        store::drop_replies(tx, saga.id).await?;
        self.replace(tx, saga, state).await
    }
}
