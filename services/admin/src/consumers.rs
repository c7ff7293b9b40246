//! What this service learns from events: that the question service shows an edit.

use async_trait::async_trait;
use contracts::{Payload, Recorded, events::QuestionApplied};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, Order};

use crate::store::confirmations;

/// Notes which version of a question players see.
#[derive(Clone, Copy, Debug)]
pub struct Confirmations;

#[async_trait]
impl Handler for Confirmations {
    fn name(&self) -> &'static str {
        "confirmations"
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn order(&self) -> Order {
        // The highest version counts.
        Order::Unimportant
    }

    fn types(&self) -> &'static [&'static str] {
        &[QuestionApplied::TYPE]
    }

    fn signals(&self) -> &'static [&'static str] {
        &[confirmations::SIGNAL]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let applied: QuestionApplied = recorded.event.payload()?;
        confirmations::note(tx, applied.question_id, applied.version).await?;
        Ok(())
    }

    async fn reset(&self, _tx: &mut Tx) -> Result<(), HandlerError> {
        // What was confirmed once stays so; reading it again changes nothing.
        Ok(())
    }
}
