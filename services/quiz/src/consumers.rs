//! What other services' events change here: the copy of the questions, and forgotten users.

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{QuestionCreated, QuestionDeleted, QuestionUpdated, UserDeleted},
};
use database::Tx;
use event_store::{Handler, HandlerError, Kind};

use crate::store::{
    answers, keys,
    questions::{self, Change},
    stats,
};

/// Keeps the copy of the questions up to date.
#[derive(Clone, Copy, Debug)]
pub struct Questions;

/// Forgets users who were deleted.
#[derive(Clone, Copy, Debug)]
pub struct Users;

#[async_trait]
impl Handler for Questions {
    fn name(&self) -> &'static str {
        "questions"
    }

    fn kind(&self) -> Kind {
        // It only builds state, but what was imported is not in the log and could not be rebuilt.
        Kind::Process
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
        let change = match event.event_type.as_str() {
            QuestionCreated::TYPE => Change::Written(event.payload::<QuestionCreated>()?.into()),
            QuestionUpdated::TYPE => Change::Written(event.payload::<QuestionUpdated>()?.into()),
            _ => Change::Deleted(event.payload::<QuestionDeleted>()?.question_id),
        };
        Ok(questions::apply(tx, &change, event.version, event.timestamp.into()).await?)
    }
}

#[async_trait]
impl Handler for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn types(&self) -> &'static [&'static str] {
        &[UserDeleted::TYPE]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let UserDeleted { user_id } = recorded.event.payload()?;
        stats::hold(tx, user_id).await?;
        keys::forget(tx, user_id).await?;
        answers::forget(tx, user_id).await?;
        Ok(stats::forget(tx, user_id).await?)
    }
}
