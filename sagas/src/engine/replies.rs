//! The consumer of replies: an event that names a saga becomes that saga's next input, in the
//! transaction that also moves the consumer's checkpoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use contracts::Recorded;
use database::{Database, Tx};
use event_store::{
    Handler, HandlerError, Kind,
    consumer::{Order, within},
};
use uuid::Uuid;

use super::{
    CONSUMER, Inner,
    moves::{Steering, TIMERS},
    waiters::DECIDED_ELSEWHERE,
};
use crate::{
    Error, Saga, Workflow,
    state::{Outcome, Progress},
    store,
    transition::{IllegalMove, Input},
    workflow::{Reply, Says},
};

/// The consumer of all replies to a service's sagas.
pub struct Replies {
    inner: Arc<Inner>,
}

impl Replies {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl Handler for Replies {
    fn name(&self) -> &'static str {
        CONSUMER
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn types(&self) -> &'static [&'static str] {
        self.inner.reply_types
    }

    /// Replies of one stream belong to many sagas, and a saga takes its replies in any order.
    fn order(&self) -> Order {
        Order::Unimportant
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        let mut sagas = self.inner.named(tx, &[event]).await?;
        self.inner.take_reply(tx, &mut sagas, event).await?;
        Ok(self.inner.write(tx, sagas.values_mut()).await?)
    }

    /// Each saga is read and written once, however many replies there are to it.
    async fn handle_batch(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        let mut sagas = self.inner.named(tx, events).await?;
        for event in events {
            let taken = async { Ok(self.inner.take_reply(tx, &mut sagas, event).await?) };
            within(CONSUMER, event, taken).await?;
        }
        Ok(self.inner.write(tx, sagas.values_mut()).await?)
    }

    /// Who waits on a replica that stands by is woken as soon as on the active one.
    fn signals(&self) -> &'static [&'static str] {
        &[DECIDED_ELSEWHERE, TIMERS]
    }
}

impl Inner {
    /// The sagas that events name, locked. Another service's, with replies of the same type, are not
    /// among them.
    async fn named(
        &self,
        tx: &mut Tx,
        events: &[&Recorded],
    ) -> Result<BTreeMap<Uuid, Saga>, Error> {
        let ids = events.iter().filter_map(|event| event.event.saga_id);
        store::lock_all(tx, ids.collect()).await
    }

    async fn take_reply(
        &self,
        tx: &mut Tx,
        sagas: &mut BTreeMap<Uuid, Saga>,
        event: &Recorded,
    ) -> Result<(), Error> {
        let named = event.event.saga_id.and_then(|id| sagas.get_mut(&id));
        let Some(saga) = named.filter(|saga| !saga.state.phase.is_end()) else {
            return Ok(());
        };
        let Some(workflow) = self.workflows.of(saga).cloned() else {
            store::keep_reply(tx, saga.id, event).await?;
            return self.suspend(tx, saga).await;
        };
        if saga.state.suspended.is_some() {
            self.resume(tx, saga, workflow.as_ref()).await?;
        }
        self.apply_reply(tx, saga, workflow.as_ref(), event).await
    }

    /// Feeds one reply to a saga that is locked and not suspended. What comes twice, late or out
    /// of turn changes nothing.
    pub(super) async fn apply_reply(
        &self,
        tx: &mut Tx,
        saga: &mut Saga,
        workflow: &dyn Workflow,
        event: &Recorded,
    ) -> Result<(), Error> {
        let step = || event.event.step.clone().unwrap_or_default();
        let read = workflow.reply(event);
        let read = read.map_err(|source| Error::Workflow {
            step: step(),
            source,
        })?;
        let Some(reply) = read else { return Ok(()) };
        if contradicts(saga, &reply) {
            // The first answer stands; that there are two is a fault of the participant.
            let (saga, step) = (saga.id, &reply.step);
            tracing::warn!(%saga, step, event = %event.event.id, "a participant contradicts itself");
        }
        saga.moment.cause = Some(event.clone());
        let moved = self
            .move_saga(tx, saga, workflow, Steering::going_on(), reply.into())
            .await;
        match moved {
            Err(Error::Illegal(
                why @ (IllegalMove::UnknownStep(_) | IllegalMove::Mismatch(..)),
            )) => Err(why.into()),
            Err(Error::Illegal(why)) => {
                tracing::debug!(saga = %saga.id, event = %event.event.id, %why, "reply ignored");
                Ok(())
            }
            moved => moved,
        }
    }
}

/// Whether a reply says the opposite of what the same step's first answer said.
fn contradicts(saga: &Saga, reply: &Reply) -> bool {
    let progress = saga.step(&reply.step).map(|step| step.progress);
    matches!(
        (progress, &reply.says),
        (Some(Progress::Done), Says::Refused(_)) | (Some(Progress::Refused), Says::Done)
    )
}

impl From<Reply> for Input {
    fn from(reply: Reply) -> Self {
        let Reply { step, says, result } = reply;
        match says {
            Says::Done => Self::Answered {
                step,
                outcome: Outcome::Done,
                result,
            },
            Says::Refused(reason) => Self::Answered {
                step,
                outcome: Outcome::Refused { reason },
                result,
            },
            Says::Undone => Self::Undone { step },
            Says::UndoRefused(reason) => Self::UndoRefused { step, reason },
        }
    }
}

/// All reply types ever registered in this database, those of missing definitions included: their
/// sagas' replies are kept. The list lives as long as the process, as consumers ask for it; there
/// are as many engines in a process as services.
pub(super) async fn all_reply_types(database: &Database) -> Result<&'static [&'static str], Error> {
    let known = store::known_reply_types(database).await?;
    let types: BTreeSet<String> = known.into_iter().flat_map(|(_, _, types)| types).collect();
    if types.is_empty() {
        // To a consumer no types means all of them; an engine without asks wants none.
        return Ok(&["saga.none"]);
    }
    let leaked = types
        .into_iter()
        .map(|name| &*Box::leak(name.into_boxed_str()));
    Ok(Vec::leak(leaked.collect()))
}
