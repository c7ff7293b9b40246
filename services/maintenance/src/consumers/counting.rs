//! The projection that reports are made of.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{
        AchievementUnlocked, AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted,
        QuestionCreated, QuestionDeleted, QuestionUpdated, UserCreated, UserDeleted,
    },
};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, Order, consumer::Beside};
use uuid::Uuid;

use crate::{
    domain::{self, Count, Day},
    store::counts::{self, Edition},
};

/// The consumer's name.
pub const COUNTS: &str = "daily-counts";

/// The role of those without an account.
const GUEST: &str = "guest";

/// Counts what happened on each UTC day.
pub struct Counts;

impl Counts {
    async fn ended(
        tx: &mut Tx,
        edition: Edition,
        day: Day,
        answer_id: Uuid,
        outcome: Count,
    ) -> Result<(), HandlerError> {
        // Of an answer from before the counts began nothing is known but that it ended.
        let known = counts::close(tx, edition, answer_id).await?;
        let (mode, is_correct) = known.unwrap_or_default();
        counts::add(tx, edition, day, outcome, &mode).await?;
        if outcome == Count::Completed && is_correct {
            counts::add(tx, edition, day, Count::Correct, &mode).await?;
        }
        Ok(())
    }

    async fn count(tx: &mut Tx, edition: Edition, recorded: &Recorded) -> Result<(), HandlerError> {
        let event = &recorded.event;
        let day = domain::day_at(event.timestamp.into());
        match event.event_type.as_str() {
            AnswerSubmitted::TYPE => {
                let answer: AnswerSubmitted = event.payload()?;
                let (mode, at) = (answer.quiz_mode, event.timestamp.into());
                counts::open(tx, edition, answer.answer_id, mode, answer.is_correct, at).await?;
                counts::add(tx, edition, day, Count::Submitted, mode.as_str()).await?;
            }
            AnswerSubmissionCompleted::TYPE => {
                let AnswerSubmissionCompleted { answer_id, .. } = event.payload()?;
                Self::ended(tx, edition, day, answer_id, Count::Completed).await?;
            }
            AnswerSubmissionFailed::TYPE => {
                let AnswerSubmissionFailed { answer_id, .. } = event.payload()?;
                Self::ended(tx, edition, day, answer_id, Count::Failed).await?;
            }
            UserCreated::TYPE => {
                let user: UserCreated = event.payload()?;
                let is_guest = user.roles.iter().any(|role| role == GUEST);
                let count = if is_guest {
                    Count::NewGuest
                } else {
                    Count::NewUser
                };
                counts::add(tx, edition, day, count, "").await?;
            }
            UserDeleted::TYPE => counts::add(tx, edition, day, Count::DeletedUser, "").await?,
            AchievementUnlocked::TYPE => counts::add(tx, edition, day, Count::Badge, "").await?,
            _ => counts::add(tx, edition, day, Count::QuestionEdit, "").await?,
        }
        Ok(())
    }
}

#[async_trait]
impl Handler for Counts {
    fn name(&self) -> &'static str {
        COUNTS
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn order(&self) -> Order {
        Order::Unimportant
    }

    fn types(&self) -> &'static [&'static str] {
        &[
            AnswerSubmitted::TYPE,
            AnswerSubmissionCompleted::TYPE,
            AnswerSubmissionFailed::TYPE,
            UserCreated::TYPE,
            UserDeleted::TYPE,
            AchievementUnlocked::TYPE,
            QuestionCreated::TYPE,
            QuestionUpdated::TYPE,
            QuestionDeleted::TYPE,
        ]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        Self::count(tx, Edition::InUse, recorded).await
    }

    async fn reset(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        Ok(counts::clear(tx, Edition::InUse).await?)
    }

    fn beside(&self) -> Option<Arc<dyn Beside>> {
        Some(Arc::new(Self))
    }
}

/// The second copy counts in tables of its own.
#[async_trait]
impl Beside for Counts {
    async fn begin(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        Ok(counts::clear(tx, Edition::Beside).await?)
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        Self::count(tx, Edition::Beside, recorded).await
    }

    async fn swap(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        Ok(counts::swap(tx).await?)
    }

    async fn abandon(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        Ok(counts::clear(tx, Edition::Beside).await?)
    }
}
