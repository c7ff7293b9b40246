//! What this service learns from events: `question.*`, whoever owns them.

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{QuestionCreated, QuestionDeleted, QuestionUpdated},
};
use database::Tx;
use event_store::{Handler, HandlerError, Kind};

use crate::{domain::Question, store::projection};

/// Keeps the bank as the events tell it.
#[derive(Clone, Copy, Debug)]
pub struct Bank;

#[async_trait]
impl Handler for Bank {
    fn name(&self) -> &'static str {
        "question-bank"
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

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let event = &recorded.event;
        let (at, position) = (event.timestamp.into(), recorded.position);
        let question = match event.event_type.as_str() {
            QuestionCreated::TYPE => created(payload(recorded)?),
            QuestionUpdated::TYPE => updated(payload(recorded)?),
            _ => {
                let QuestionDeleted { question_id, .. } = payload(recorded)?;
                projection::delete(tx, question_id, at, position).await?;
                return Ok(());
            }
        };
        projection::write(tx, &question, at, position).await?;
        Ok(())
    }

    async fn reset(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        projection::reset(tx).await?;
        Ok(())
    }
}

/// A payload of another shape stays of another shape: no repeat helps.
fn payload<P: Payload>(recorded: &Recorded) -> Result<P, HandlerError> {
    recorded.event.payload().map_err(HandlerError::poison)
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
