//! What this service learns from events: `question.*`, which the curators' service writes, and
//! `user.deleted`.

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{QuestionApplied, QuestionCreated, QuestionDeleted, QuestionUpdated, UserDeleted},
};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, NewEvent, Order, Outbox, derived_id};
use service::departed;
use uuid::Uuid;

use crate::{
    domain::Question,
    store::{confirmations, draws, projection, revision},
};

/// The name of the bank's consumer, in checkpoints and derived ids.
const BANK: &str = "question-bank";

/// Keeps the bank as the events tell it, and tells with `question.applied` what players see now.
///
/// The confirmation is written with the change itself, so it comes neither late nor for a change
/// that was parked. It is no effect that a replay repeats: what was confirmed once is noted in a
/// table of its own, which [`Handler::reset`] leaves alone. That is why this is a projection that
/// operators may replay, although an event leaves it.
#[derive(Clone, Debug)]
pub struct Bank {
    outbox: Outbox,
}

impl Bank {
    /// Confirms through `outbox`.
    #[must_use]
    pub fn new(outbox: Outbox) -> Self {
        Self { outbox }
    }

    async fn confirm(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
        question_id: Uuid,
        version: i64,
    ) -> Result<(), HandlerError> {
        if !confirmations::note(tx, question_id, version).await? {
            return Ok(());
        }
        let applied = QuestionApplied {
            question_id,
            version,
        };
        let event = NewEvent::of(&applied)
            .stream(format!("question-bank-{question_id}"))
            .aggregate(question_id)
            .caused_by(recorded)
            .id(derived_id(recorded.event.id, BANK, 0));
        self.outbox.defer(tx, event);
        Ok(())
    }
}

#[async_trait]
impl Handler for Bank {
    fn name(&self) -> &'static str {
        BANK
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn types(&self) -> &'static [&'static str] {
        &[
            QuestionCreated::TYPE,
            QuestionUpdated::TYPE,
            QuestionDeleted::TYPE,
        ]
    }

    fn signals(&self) -> &'static [&'static str] {
        &[revision::SIGNAL]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let event = &recorded.event;
        let (at, position) = (event.timestamp.into(), recorded.position);
        let mut question = match event.event_type.as_str() {
            QuestionCreated::TYPE => created(payload(recorded)?),
            QuestionUpdated::TYPE => updated(payload(recorded)?),
            _ => {
                let gone: QuestionDeleted = payload(recorded)?;
                let (id, version) = (gone.question_id, told(gone.version, recorded));
                projection::delete(tx, id, version, at, position).await?;
                return self.confirm(tx, recorded, id, version).await;
            }
        };
        question.version = told(question.version, recorded);
        projection::write(tx, &question, at, position).await?;
        self.confirm(tx, recorded, question.id, question.version)
            .await
    }

    async fn reset(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        projection::reset(tx).await?;
        Ok(())
    }
}

/// Forgets users who left.
#[derive(Clone, Copy, Debug)]
pub struct Users;

#[async_trait]
impl Handler for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn order(&self) -> Order {
        Order::Unimportant
    }

    fn types(&self) -> &'static [&'static str] {
        &[UserDeleted::TYPE]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let UserDeleted { user_id } = payload(recorded)?;
        departed::note(tx, user_id).await?;
        draws::forget(tx, user_id).await?;
        Ok(())
    }
}

/// A payload of another shape stays of another shape: no repeat helps.
fn payload<P: Payload>(recorded: &Recorded) -> Result<P, HandlerError> {
    recorded.event.payload().map_err(HandlerError::poison)
}

/// The question's version: the event's own, or that of its stream where it tells none.
fn told(version: i64, recorded: &Recorded) -> i64 {
    if version > 0 {
        version
    } else {
        recorded.event.version
    }
}

fn created(event: QuestionCreated) -> Question {
    Question {
        id: event.question_id,
        text: event.text,
        category: event.category,
        difficulty: event.difficulty,
        choices: event.choices,
        correct_choice_id: event.correct_choice_id,
        tags: event.tags,
        version: event.version,
    }
}

fn updated(event: QuestionUpdated) -> Question {
    Question {
        id: event.question_id,
        text: event.text,
        category: event.category,
        difficulty: event.difficulty,
        choices: event.choices,
        correct_choice_id: event.correct_choice_id,
        tags: event.tags,
        version: event.version,
    }
}
