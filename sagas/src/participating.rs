//! A participant as a consumer: what its own code does is an [`Effect`](Participant::Effect), its
//! undo and its answers; what repeats, late asks and ends mean is the ledger's.
//!
//! Invariant: effect, ledger, answers and checkpoint commit together or not at all.

use async_trait::async_trait;
use contracts::{Recorded, audit::EffectState};
use database::{Database, Json, Tx, params};
use event_store::{
    Handler, HandlerError, Kind, NewEvent, Outbox,
    consumer::{Wake, within},
    derived_id,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::participant::{Ask, Complete, Ledger, Revoke};

/// What one service does for one step of a kind of saga. Everything here runs inside the consumer's
/// transaction, may be repeated after a roll-back, and must have no effect outside it.
#[async_trait]
pub trait Participant: Send + Sync + 'static {
    /// What an ask did: as much as undoing it and answering again need.
    type Effect: Serialize + DeserializeOwned + Send + Sync;

    /// The consumer's name.
    fn name(&self) -> &'static str;

    /// The saga's step that this does.
    fn step(&self) -> &'static str;

    /// The event types that it listens to.
    fn types(&self) -> &'static [&'static str];

    /// Those of them that somebody waits for, as [`Handler::wake`]: asks and revocations. All unless told.
    fn awaited(&self) -> &'static [&'static str] {
        self.types()
    }

    /// Signals of the database that its work raises and others in this process wait for, as
    /// [`Handler::signals`].
    fn signals(&self) -> &'static [&'static str] {
        &[]
    }

    /// What an event of one of these types is to it.
    fn role(&self, event_type: &str) -> Role;

    /// Reads at once what these events are about, before each of them is handled in its turn: they come
    /// in one transaction, and the ledger's lines of their sagas are read. What is not read here is
    /// read when it is needed; an event that cannot be read is passed over, its own turn tells.
    ///
    /// # Errors
    /// As the database says; none of the events is handled then.
    async fn look_ahead(&self, _tx: &mut Tx, _events: &[&Recorded]) -> Result<(), HandlerError> {
        Ok(())
    }

    /// Does what is asked, provisionally.
    ///
    /// # Errors
    /// [`HandlerError`] when nobody can tell whether it can be done; a refusal is no error.
    async fn apply(
        &self,
        tx: &mut Tx,
        ask: &Recorded,
    ) -> Result<Applied<Self::Effect>, HandlerError>;

    /// The events that tell of what was done, the reply among them.
    ///
    /// # Errors
    /// When the ask cannot be read.
    fn applied(&self, ask: &Recorded, effect: &Self::Effect)
    -> Result<Vec<NewEvent>, HandlerError>;

    /// The events that tell of a refusal.
    ///
    /// # Errors
    /// When the ask cannot be read.
    fn refused(&self, ask: &Recorded, reason: &str) -> Result<Vec<NewEvent>, HandlerError>;

    /// Takes the effect back, where there is one; the events that confirm it.
    ///
    /// # Errors
    /// [`HandlerError`]; it is tried again or parked.
    async fn undo(
        &self,
        tx: &mut Tx,
        revocation: &Recorded,
        effect: Option<&Self::Effect>,
    ) -> Result<Vec<NewEvent>, HandlerError>;

    /// What the ledger keeps of an effect that was taken back: it is never undone again, so that
    /// nobody needs to be named in it.
    fn undone(&self, effect: Self::Effect) -> Self::Effect {
        effect
    }

    /// Makes the effect final.
    ///
    /// # Errors
    /// [`HandlerError`]; it is tried again or parked.
    async fn finish(
        &self,
        tx: &mut Tx,
        completion: &Recorded,
        effect: Self::Effect,
    ) -> Result<Finished<Self::Effect>, HandlerError>;

    /// Takes in an event that belongs to no saga.
    ///
    /// # Errors
    /// [`HandlerError`]; it is tried again or parked.
    async fn other(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError>;
}

/// What an event is to a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A saga asks for the step.
    Ask,
    /// A saga takes the step back.
    Revocation,
    /// A saga completed.
    Completion,
    /// It belongs to no saga.
    Other,
}

/// How an ask went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied<E> {
    /// It was done.
    Done(E),
    /// It was not done and will not be; nothing was written.
    Refused(String),
}

/// What making an effect final led to.
#[derive(Clone, Debug)]
pub struct Finished<E> {
    /// What the ledger keeps from now on.
    pub effect: E,
    /// The events that tell of it.
    pub events: Vec<NewEvent>,
}

/// One line of the ledger, for an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<E> {
    /// The saga.
    pub saga_id: Uuid,
    /// What was done for it.
    pub effect: E,
    /// Whether it counts.
    pub state: EffectState,
}

/// The consumer that a [`Participant`] is.
#[derive(Clone, Debug)]
pub struct Participating<P> {
    participant: P,
    outbox: Outbox,
}

impl<P: Participant> Participating<P> {
    /// Lets `participant` answer through `outbox`. Its database needs
    /// [`crate::participant::migrations`].
    pub const fn new(participant: P, outbox: Outbox) -> Self {
        Self {
            participant,
            outbox,
        }
    }

    /// Reads at once what is known of all that these events are about.
    async fn look_ahead(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        let is_of_saga =
            |event: &&&Recorded| self.participant.role(&event.event.event_type) != Role::Other;
        let of_sagas = events.iter().filter(is_of_saga);
        let sagas = of_sagas.filter_map(|event| event.event.saga_id).collect();
        Ledger.look_up(tx, sagas, self.participant.step()).await?;
        self.participant.look_ahead(tx, events).await
    }

    async fn take_in(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        let role = self.participant.role(&event.event.event_type);
        if role == Role::Other {
            return self.participant.other(tx, event).await;
        }
        let no_saga = || HandlerError::poison("it names no saga");
        let saga = event.event.saga_id.ok_or_else(no_saga)?;
        match role {
            Role::Ask => self.asked(tx, event, saga).await,
            Role::Revocation => self.revoked(tx, event, saga).await,
            Role::Completion | Role::Other => self.completed(tx, event, saga).await,
        }
    }

    async fn asked(&self, tx: &mut Tx, event: &Recorded, saga: Uuid) -> Result<(), HandlerError> {
        let step = self.participant.step();
        let events = match Ledger.ask(tx, saga, step).await? {
            Ask::Do => self.do_it(tx, event, saga).await?.1,
            Ask::DoForGood => {
                let (effect, mut events) = self.do_it(tx, event, saga).await?;
                if let Some(effect) = effect {
                    events.extend(self.settle(tx, event, saga, effect).await?);
                }
                events
            }
            Ask::Done(effect) => self
                .participant
                .applied(event, &serde_json::from_value(effect)?)?,
            Ask::Refused(reason) => self
                .participant
                .refused(event, reason.as_str().unwrap_or_default())?,
            Ask::Revoked => Vec::new(),
        };
        self.tell(tx, event, saga, events);
        Ok(())
    }

    async fn do_it(
        &self,
        tx: &mut Tx,
        event: &Recorded,
        saga: Uuid,
    ) -> Result<(Option<P::Effect>, Vec<NewEvent>), HandlerError> {
        let step = self.participant.step();
        match self.participant.apply(tx, event).await? {
            Applied::Done(effect) => {
                Ledger.done(tx, saga, step, &effect).await?;
                let events = self.participant.applied(event, &effect)?;
                Ok((Some(effect), events))
            }
            Applied::Refused(reason) => {
                Ledger.refused(tx, saga, step, &reason).await?;
                Ok((None, self.participant.refused(event, &reason)?))
            }
        }
    }

    async fn revoked(&self, tx: &mut Tx, event: &Recorded, saga: Uuid) -> Result<(), HandlerError> {
        let step = self.participant.step();
        let effect = match Ledger.revoke(tx, saga, step).await? {
            Revoke::Undo(effect) => Some(serde_json::from_value(effect)?),
            Revoke::Nothing | Revoke::Again(_) => None,
            Revoke::Completed => {
                return Err(HandlerError::poison(format!(
                    "saga {saga} has completed here"
                )));
            }
        };
        let events = self.participant.undo(tx, event, effect.as_ref()).await?;
        if let Some(effect) = effect {
            let kept = self.participant.undone(effect);
            Ledger.done(tx, saga, step, &kept).await?;
        }
        self.tell(tx, event, saga, events);
        Ok(())
    }

    async fn completed(
        &self,
        tx: &mut Tx,
        event: &Recorded,
        saga: Uuid,
    ) -> Result<(), HandlerError> {
        let effect = match Ledger.complete(tx, saga, self.participant.step()).await? {
            Complete::Settle(effect) => serde_json::from_value(effect)?,
            Complete::Nothing | Complete::Again => return Ok(()),
            Complete::Revoked => {
                return Err(HandlerError::poison(format!(
                    "saga {saga} was revoked here"
                )));
            }
        };
        let events = self.settle(tx, event, saga, effect).await?;
        self.tell(tx, event, saga, events);
        Ok(())
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        event: &Recorded,
        saga: Uuid,
        effect: P::Effect,
    ) -> Result<Vec<NewEvent>, HandlerError> {
        let finished = self.participant.finish(tx, event, effect).await?;
        Ledger
            .done(tx, saga, self.participant.step(), &finished.effect)
            .await?;
        Ok(finished.events)
    }

    /// Ids derive from the cause, so that a repeat of the transaction appends nothing new.
    fn tell(&self, tx: &mut Tx, cause: &Recorded, saga: Uuid, events: Vec<NewEvent>) {
        let (name, step) = (self.participant.name(), self.participant.step());
        let numbered = events.into_iter().zip(0..).map(|(event, number)| {
            let id = derived_id(cause.event.id, name, number);
            event.caused_by(cause).saga(saga, step).id(id)
        });
        self.outbox.defer_all(tx, numbered.collect());
    }
}

#[async_trait]
impl<P: Participant> Handler for Participating<P> {
    fn name(&self) -> &'static str {
        self.participant.name()
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn types(&self) -> &'static [&'static str] {
        self.participant.types()
    }

    fn wake(&self) -> Wake {
        Wake::For(self.participant.awaited())
    }

    fn signals(&self) -> &'static [&'static str] {
        self.participant.signals()
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        self.look_ahead(tx, &[event]).await?;
        self.take_in(tx, event).await
    }

    async fn handle_batch(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        self.look_ahead(tx, events).await?;
        for event in events {
            within(self.name(), event, self.take_in(tx, event)).await?;
        }
        Ok(())
    }
}

/// A page of what was done for `step`, in the order of the sagas' ids: for an audit. Asks that were
/// refused did nothing and are left out.
///
/// # Errors
/// As the database says.
pub async fn page<E: DeserializeOwned>(
    database: &Database,
    step: &str,
    after: Uuid,
    limit: i64,
) -> database::Result<Vec<Entry<E>>> {
    let rows: Vec<(Uuid, Json<Value>, Option<String>)> = database
        .fetch_all(
            "SELECT saga_id, effect, ending FROM saga_ledger
             WHERE step = $1 AND saga_id > $2 AND outcome = 'done' ORDER BY saga_id LIMIT $3",
            params![step, after, limit],
        )
        .await?;
    rows.into_iter()
        .map(|(saga_id, Json(effect), ending)| {
            let effect = serde_json::from_value(effect)
                .map_err(|error| database::Error::Query(error.into()))?;
            let state = match ending.as_deref() {
                None => EffectState::Provisional,
                Some("completed") => EffectState::Final,
                Some(_) => EffectState::Revoked,
            };
            Ok(Entry {
                saga_id,
                effect,
                state,
            })
        })
        .collect()
}
