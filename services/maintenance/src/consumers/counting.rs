//! The projection that reports are made of.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use contracts::{
    Event, Payload, Recorded,
    events::{
        AchievementUnlocked, AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted,
        QuestionCreated, QuestionDeleted, QuestionUpdated, UserCreated, UserDeleted,
    },
};
use database::Tx;
use event_store::{
    Handler, HandlerError, Kind, Order,
    consumer::{Beside, Wake, within},
};
use uuid::Uuid;

use crate::{
    domain::{self, Count, Day},
    store::counts::{self, Counted, Edition, Open},
};

/// The consumer's name.
pub const COUNTS: &str = "daily-counts";

/// The role of those without an account.
const GUEST: &str = "guest";

/// Counts what happened on each UTC day.
pub struct Counts;

/// What some events add.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<Counted, i64>,
    /// Answers whose sagas have not ended yet.
    open: HashMap<Uuid, Open>,
    /// Of those, and of others.
    ended: Vec<(Day, Uuid, Count)>,
}

impl Tally {
    fn one(&mut self, day: Day, count: Count, mode: &str) {
        *self
            .counts
            .entry((day, count, mode.to_owned()))
            .or_default() += 1;
    }

    fn take(&mut self, event: &Event) -> Result<(), HandlerError> {
        let day = domain::day_at(event.timestamp.into());
        match event.event_type.as_str() {
            AnswerSubmitted::TYPE => {
                let answer: AnswerSubmitted = event.payload()?;
                self.one(day, Count::Submitted, answer.quiz_mode.as_str());
                let open = Open {
                    answer_id: answer.answer_id,
                    mode: answer.quiz_mode,
                    is_correct: answer.is_correct,
                    at: event.timestamp.into(),
                };
                self.open.insert(open.answer_id, open);
            }
            AnswerSubmissionCompleted::TYPE => {
                let AnswerSubmissionCompleted { answer_id, .. } = event.payload()?;
                self.ended.push((day, answer_id, Count::Completed));
            }
            AnswerSubmissionFailed::TYPE => {
                let AnswerSubmissionFailed { answer_id, .. } = event.payload()?;
                self.ended.push((day, answer_id, Count::Failed));
            }
            UserCreated::TYPE => {
                let user: UserCreated = event.payload()?;
                let is_guest = user.roles.iter().any(|role| role == GUEST);
                let count = if is_guest {
                    Count::NewGuest
                } else {
                    Count::NewUser
                };
                self.one(day, count, "");
            }
            UserDeleted::TYPE => self.one(day, Count::DeletedUser, ""),
            AchievementUnlocked::TYPE => self.one(day, Count::Badge, ""),
            _ => self.one(day, Count::QuestionEdit, ""),
        }
        Ok(())
    }

    async fn write(mut self, tx: &mut Tx, edition: Edition) -> Result<(), HandlerError> {
        let ended = std::mem::take(&mut self.ended);
        let before = ended.iter().map(|(_, answer_id, _)| *answer_id);
        let before = before.filter(|answer_id| !self.open.contains_key(answer_id));
        let mut known = counts::close(tx, edition, before.collect()).await?;
        for (day, answer_id, outcome) in ended {
            if let Some(open) = self.open.remove(&answer_id) {
                let played = (open.mode.as_str().to_owned(), open.is_correct);
                known.insert(answer_id, played);
            }
            // Of an answer from before the counts began nothing is known but that it ended.
            let (mode, is_correct) = known.remove(&answer_id).unwrap_or_default();
            self.one(day, outcome, &mode);
            if outcome == Count::Completed && is_correct {
                self.one(day, Count::Correct, &mode);
            }
        }
        counts::open(tx, edition, self.open.into_values().collect()).await?;
        Ok(counts::add(tx, edition, &self.counts).await?)
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

    fn wake(&self) -> Wake {
        Wake::Seldom
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        self.handle_batch(tx, &[event]).await
    }

    async fn handle_batch(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        let mut tally = Tally::default();
        for recorded in events {
            let taken = async { tally.take(&recorded.event) };
            within(COUNTS, recorded, taken).await?;
        }
        tally.write(tx, Edition::InUse).await
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
        let mut tally = Tally::default();
        tally.take(&recorded.event)?;
        tally.write(tx, Edition::Beside).await
    }

    async fn swap(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        Ok(counts::swap(tx).await?)
    }

    async fn abandon(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        Ok(counts::clear(tx, Edition::Beside).await?)
    }
}
