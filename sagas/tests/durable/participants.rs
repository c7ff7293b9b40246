//! The other side: does what it is asked as the plan says, with the ledger.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, NewEvent, Outbox, derived_id};
use sagas::{
    End, Outcome,
    participant::{Ask, Complete, Ledger, Revoke},
};
use serde_json::json;
use uuid::Uuid;

use super::order::{Answered, Asked, Conduct, Ended, Plan, did, undid};

const OUTBOX: Outbox = Outbox::new("participants");

pub(crate) struct Participants {
    pub(crate) plan: Arc<Plan>,
}

#[async_trait]
impl Handler for Participants {
    fn name(&self) -> &'static str {
        "participants"
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn types(&self) -> &'static [&'static str] {
        &[Asked::TYPE, Ended::TYPE]
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        let Some(saga) = event.event.saga_id else {
            return Ok(());
        };
        if event.event.event_type == Ended::TYPE {
            return self.learn_the_end(tx, saga, event).await;
        }
        let asked: Asked = event.event.payload()?;
        let conduct = if asked.undo {
            self.plan.of(&format!("undo:{}", asked.step))
        } else {
            self.plan.of(&asked.step)
        };
        let times = if conduct == Conduct::Twice { 2 } else { 1 };
        for number in 0..times {
            let outcome = if asked.undo {
                revoke(tx, saga, &asked.step, conduct).await?
            } else {
                ask(tx, saga, &asked.step, conduct).await?
            };
            let Some(outcome) = outcome.filter(|_| conduct != Conduct::Silent) else {
                continue;
            };
            let answer = Answered {
                step: asked.step.clone(),
                undo: asked.undo,
                outcome,
            };
            let reply = NewEvent::of(&answer)
                .stream(format!("replies-{saga}"))
                .aggregate(saga)
                .caused_by(event)
                .saga(saga, asked.step.as_str())
                .id(derived_id(event.event.id, "participants", number));
            OUTBOX.enqueue(tx, reply).await?;
        }
        Ok(())
    }
}

impl Participants {
    async fn learn_the_end(
        &self,
        tx: &mut Tx,
        saga: Uuid,
        event: &Recorded,
    ) -> Result<(), HandlerError> {
        let Ended { end } = event.event.payload()?;
        if end == End::Completed {
            for step in ["pay", "pack", "ship"] {
                let complete = Ledger.complete(tx, saga, step).await?;
                assert!(
                    matches!(complete, Complete::Settle(_) | Complete::Again),
                    "{step} was done before the saga completed: {complete:?}"
                );
            }
        }
        Ok(())
    }
}

async fn ask(
    tx: &mut Tx,
    saga: Uuid,
    step: &str,
    conduct: Conduct,
) -> Result<Option<Outcome>, HandlerError> {
    let refusal = || {
        Some(Outcome::Refused {
            reason: format!("{step} says no"),
        })
    };
    Ok(match Ledger.ask(tx, saga, step).await? {
        Ask::Do | Ask::DoForGood if conduct == Conduct::Refuses => {
            Ledger.refused(tx, saga, step, &"says no").await?;
            refusal()
        }
        Ask::Do | Ask::DoForGood => {
            did(tx, saga, step).await?;
            Ledger.done(tx, saga, step, &json!({ "did": step })).await?;
            Some(Outcome::Done)
        }
        Ask::Done(_) => Some(Outcome::Done),
        Ask::Refused(_) => refusal(),
        Ask::Revoked => None,
    })
}

async fn revoke(
    tx: &mut Tx,
    saga: Uuid,
    step: &str,
    conduct: Conduct,
) -> Result<Option<Outcome>, HandlerError> {
    if conduct == Conduct::Refuses {
        return Ok(Some(Outcome::Refused {
            reason: format!("{step} is locked"),
        }));
    }
    match Ledger.revoke(tx, saga, step).await? {
        Revoke::Undo(_) => undid(tx, saga, step).await?,
        Revoke::Nothing | Revoke::Again(_) => {}
        Revoke::Completed => return Err(HandlerError::poison("revoked after its completion")),
    }
    Ok(Some(Outcome::Done))
}
