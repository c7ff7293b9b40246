//! The other side: two participants that use the crate's own ledger, and a reader that counts.

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Tx, params};
use event_store::{Handler, HandlerError, Kind, NewEvent, Outbox};
use sagas::{
    Outcome,
    participating::{Applied, Finished, Participant, Role},
};
use serde::{Deserialize, Serialize};

use super::{
    fate::Fate,
    shop::{Answered, Completed, PackAsked, PackRevoked, PayAsked, PayRevoked, did, undid},
};

pub(crate) const PARTIES: &str = "parties";
pub(crate) const OUTBOX: Outbox = Outbox::new(PARTIES);

/// The reader without a ledger.
pub(crate) const TALLY: &str = "tally";

pub(crate) const TALLIES: &str =
    "CREATE TABLE tallies (event_id BLOB PRIMARY KEY, counted INTEGER NOT NULL) STRICT";

/// A participant, which does one step.
pub(crate) struct Party {
    pub(crate) step: &'static str,
    pub(crate) fate: Fate,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    step: String,
}

impl Party {
    fn fails(&self) -> Result<(), HandlerError> {
        if !self.fate.happens(|temper| temper.fails) {
            return Ok(());
        }
        Err(match self.fate.roll(|dice| dice.below(4)) {
            0 => HandlerError::poison("it never will"),
            1 => HandlerError::transient("it is not well"),
            _ => HandlerError::unclear("it does not know"),
        })
    }

    fn answer(&self, about: &Recorded, undo: bool, outcome: Outcome) -> NewEvent {
        let answer = Answered {
            step: self.step.to_owned(),
            undo,
            outcome,
        };
        let saga = about.event.saga_id.unwrap_or_default();
        NewEvent::of(&answer)
            .stream(format!("answers-{}-{saga}", self.step))
            .aggregate(saga)
    }

    /// What it says, which may be nothing, and more than once.
    fn answers(&self, about: &Recorded, undo: bool, outcome: &Outcome) -> Vec<NewEvent> {
        if self.fate.happens(|temper| temper.silent) {
            return Vec::new();
        }
        let mut answers = vec![self.answer(about, undo, outcome.clone())];
        if self.fate.happens(|temper| temper.babbles) {
            let contradicts = !undo && self.fate.roll(|dice| dice.below(2)) == 0;
            let other = match (contradicts, outcome) {
                (true, Outcome::Done) => refusal("it changed its mind"),
                _ => outcome.clone(),
            };
            answers.push(self.answer(about, undo, other));
        }
        answers
    }
}

fn refusal(reason: &str) -> Outcome {
    Outcome::Refused {
        reason: reason.to_owned(),
    }
}

#[async_trait]
impl Participant for Party {
    type Effect = Done;

    fn name(&self) -> &'static str {
        self.step
    }

    fn step(&self) -> &'static str {
        self.step
    }

    fn types(&self) -> &'static [&'static str] {
        match self.step {
            "pay" => &[PayAsked::TYPE, PayRevoked::TYPE, Completed::TYPE],
            _ => &[PackAsked::TYPE, PackRevoked::TYPE, Completed::TYPE],
        }
    }

    fn role(&self, event_type: &str) -> Role {
        match event_type {
            PayAsked::TYPE | PackAsked::TYPE => Role::Ask,
            PayRevoked::TYPE | PackRevoked::TYPE => Role::Revocation,
            _ => Role::Completion,
        }
    }

    async fn apply(&self, tx: &mut Tx, ask: &Recorded) -> Result<Applied<Done>, HandlerError> {
        self.fails()?;
        if self.fate.happens(|temper| temper.refuses) {
            return Ok(Applied::Refused("no".to_owned()));
        }
        let saga = ask.event.saga_id.unwrap_or_default();
        did(tx, saga, self.step).await?;
        let step = self.step.to_owned();
        Ok(Applied::Done(Done { step }))
    }

    fn applied(&self, ask: &Recorded, _: &Done) -> Result<Vec<NewEvent>, HandlerError> {
        Ok(self.answers(ask, false, &Outcome::Done))
    }

    fn refused(&self, ask: &Recorded, reason: &str) -> Result<Vec<NewEvent>, HandlerError> {
        Ok(self.answers(ask, false, &refusal(reason)))
    }

    async fn undo(
        &self,
        tx: &mut Tx,
        revocation: &Recorded,
        effect: Option<&Done>,
    ) -> Result<Vec<NewEvent>, HandlerError> {
        if effect.is_some() {
            let saga = revocation.event.saga_id.unwrap_or_default();
            undid(tx, saga, self.step).await?;
        }
        self.fails()?;
        Ok(self.answers(revocation, true, &Outcome::Done))
    }

    async fn finish(
        &self,
        tx: &mut Tx,
        completion: &Recorded,
        effect: Done,
    ) -> Result<Finished<Done>, HandlerError> {
        let sql = "UPDATE effects SET final = final + 1 WHERE saga_id = $1 AND step = $2";
        tx.execute(sql, params![completion.event.saga_id, self.step])
            .await?;
        self.fails()?;
        let events = Vec::new();
        Ok(Finished { effect, events })
    }

    async fn other(&self, _: &mut Tx, _: &Recorded) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// Counts how often it has handled each event.
pub(crate) struct Tally;

#[async_trait]
impl Handler for Tally {
    fn name(&self) -> &'static str {
        TALLY
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn types(&self) -> &'static [&'static str] {
        &[Answered::TYPE, Completed::TYPE]
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        tx.execute(
            "INSERT INTO tallies (event_id, counted) VALUES ($1, 1)
             ON CONFLICT (event_id) DO UPDATE SET counted = tallies.counted + 1",
            params![event.event.id],
        )
        .await?;
        Ok(())
    }

    async fn reset(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        tx.execute("DELETE FROM tallies", Vec::new()).await?;
        Ok(())
    }
}
