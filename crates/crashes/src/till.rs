//! The service that takes part: one participant for each step.

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Tx, params};
use event_store::{HandlerError, NewEvent};
use sagas::participating::{Applied, Finished, Participant, Role};
use uuid::Uuid;

use crate::order::{Answered, Completed, Fate, Placed, Revoked, did, undid};

/// Who does one step of an order.
pub(crate) struct Till {
    pub(crate) step: &'static str,
}

impl Till {
    fn answer(&self, event: &Recorded, undo: bool, refusal: Option<&str>) -> NewEvent {
        let refusal = refusal.map(ToOwned::to_owned);
        let stream = format!("{}-{}", self.step, event.event.aggregate_id);
        NewEvent::of(&Answered { undo, refusal })
            .stream(stream)
            .aggregate(&event.event.aggregate_id)
    }

    fn fate(event: &Recorded) -> Result<Fate, HandlerError> {
        let Placed { number } = event.event.payload()?;
        Ok(Fate::of(number))
    }
}

/// The saga that an event is about.
fn saga(event: &Recorded) -> Result<Uuid, HandlerError> {
    let named = event.event.saga_id;
    named.ok_or_else(|| HandlerError::poison("it names no saga"))
}

#[async_trait]
impl Participant for Till {
    type Effect = String;

    fn name(&self) -> &'static str {
        self.step
    }

    fn step(&self) -> &'static str {
        self.step
    }

    fn types(&self) -> &'static [&'static str] {
        &[Placed::TYPE, Revoked::TYPE, Completed::TYPE]
    }

    fn role(&self, event_type: &str) -> Role {
        match event_type {
            Placed::TYPE => Role::Ask,
            Revoked::TYPE => Role::Revocation,
            Completed::TYPE => Role::Completion,
            _ => Role::Other,
        }
    }

    async fn apply(&self, tx: &mut Tx, ask: &Recorded) -> Result<Applied<String>, HandlerError> {
        if self.step == "pay" && Self::fate(ask)? == Fate::Refused {
            return Ok(Applied::Refused("no money".to_owned()));
        }
        did(tx, saga(ask)?, self.step).await?;
        Ok(Applied::Done(self.step.to_owned()))
    }

    fn applied(&self, ask: &Recorded, _: &String) -> Result<Vec<NewEvent>, HandlerError> {
        if Self::fate(ask)? == Fate::Silent {
            return Ok(Vec::new());
        }
        Ok(vec![self.answer(ask, false, None)])
    }

    fn refused(&self, ask: &Recorded, reason: &str) -> Result<Vec<NewEvent>, HandlerError> {
        Ok(vec![self.answer(ask, false, Some(reason))])
    }

    async fn undo(
        &self,
        tx: &mut Tx,
        revocation: &Recorded,
        effect: Option<&String>,
    ) -> Result<Vec<NewEvent>, HandlerError> {
        if effect.is_some() {
            undid(tx, saga(revocation)?, self.step).await?;
        }
        Ok(vec![self.answer(revocation, true, None)])
    }

    async fn finish(
        &self,
        tx: &mut Tx,
        completion: &Recorded,
        effect: String,
    ) -> Result<Finished<String>, HandlerError> {
        let sql = "UPDATE effects SET final = final + 1 WHERE saga_id = $1 AND step = $2";
        tx.execute(sql, params![saga(completion)?, self.step])
            .await?;
        let events = Vec::new();
        Ok(Finished { effect, events })
    }

    async fn other(&self, _: &mut Tx, _: &Recorded) -> Result<(), HandlerError> {
        Ok(())
    }
}
