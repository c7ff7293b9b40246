//! The answer-submission saga: record the answer, let badges and boards follow in parallel, and
//! take everything back when either does not.
//!
//! Invariant: an answer counts in the stats exactly while it is pending or completed. The roll-back
//! is part of the transition that turns the saga back, so nobody ever builds on an answer that is
//! being taken back. Of a player who left nothing is there any more to count or to restore; the saga
//! still runs to its end, so that the participants learn it.

use std::time::Duration;

use async_trait::async_trait;
use contracts::{
    Payload, QuizMode, Recorded,
    events::{
        AchievementCheckFailed, AchievementChecked, AchievementRevoked, AnswerRevoked,
        AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted, BadgeRef,
        LeaderboardEntryReverted, LeaderboardEntryUpdated, LeaderboardUpdateFailed,
    },
    http::Standing,
};
use database::Tx;
use event_store::{NewEvent, Outbox};
use sagas::{Definition, End, LocalOutcome, Reply, Saga, Step, Undo, Workflow, WorkflowError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{self, Asked},
    store::{
        answers::{self, Given},
        json, recording, stats,
    },
};

/// The definition's name.
pub const NAME: &str = "answer-submission";

const RECORD: &str = "record";
const ACHIEVEMENTS: &str = "achievements";
const LEADERBOARD: &str = "leaderboard";

/// What the saga is about, as it was asked for; kept with the saga. That `userId` names whose it is
/// lets the engine erase it when the user leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// The answer; also the saga's id.
    pub answer_id: Uuid,
    /// Who answers.
    pub user_id: Uuid,
    /// The player's name, as the token had it. Personal.
    pub display_name: String,
    /// The question as it was when it was answered.
    pub asked: Asked,
    /// What was chosen.
    pub choice_id: String,
    /// How it is played.
    pub quiz_mode: QuizMode,
}

impl Submitted {
    /// As the saga keeps it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> database::Result<Value> {
        json(self)
    }
}

/// Version 1 of the workflow, whose participants have `deadline` to answer.
pub fn definition(deadline: Duration) -> Definition {
    Definition::new(NAME, 1)
        .step(Step::local(RECORD).undo(Undo::local().at_once()))
        .parallel([
            Step::ask(ACHIEVEMENTS).deadline(deadline).undo(Undo::ask()),
            Step::ask(LEADERBOARD).deadline(deadline).undo(Undo::ask()),
        ])
}

/// The workflow of version 1.
pub struct AnswerSubmission {
    definition: Definition,
    outbox: Outbox,
}

impl AnswerSubmission {
    /// The workflow whose participants have `deadline` to answer.
    pub fn new(deadline: Duration, outbox: Outbox) -> Self {
        let definition = definition(deadline);
        Self { definition, outbox }
    }

    fn enqueue<P: Payload>(&self, tx: &mut Tx, saga: &Saga, submitted: &Submitted, payload: &P) {
        let event = addressed(saga.event(payload), submitted);
        self.outbox.defer(tx, event);
    }

    /// Judges and counts the answer, and asks both participants.
    async fn record(&self, tx: &mut Tx, saga: &Saga) -> Result<LocalOutcome, WorkflowError> {
        let submitted: Submitted = data(saga)?;
        // Whoever starts the saga holds the player's row, and has seen that the player has no other
        // undecided answer.
        let counted = stats::held(tx, submitted.user_id).await?;
        let now = tx.now().await?;
        let Submitted {
            asked,
            choice_id,
            quiz_mode,
            ..
        } = &submitted;
        let outcome = match domain::answer(&counted.total(), asked, choice_id, *quiz_mode) {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(LocalOutcome::Refused(refusal.to_string())),
        };
        let given = Given {
            id: submitted.answer_id,
            user_id: submitted.user_id,
            question_id: asked.question_id,
            choice_id: choice_id.clone(),
            correct_choice_id: asked.correct_choice_id.clone(),
            quiz_mode: *quiz_mode,
            is_correct: outcome.is_correct,
            points: outcome.points,
            streak: outcome.stats.streak,
        };
        let own = counted
            .own
            .with(*quiz_mode, outcome.is_correct, outcome.points);
        let payload = AnswerSubmitted {
            answer_id: given.id,
            user_id: given.user_id,
            display_name: submitted.display_name.clone().into(),
            question_id: given.question_id,
            choice_id: given.choice_id.clone(),
            quiz_mode: given.quiz_mode,
            category: asked.category.clone(),
            difficulty: asked.difficulty,
            is_correct: given.is_correct,
            points: given.points,
            streak: given.streak,
        };
        recording::record(tx, given, counted.own, own, now);
        self.enqueue(tx, saga, &submitted, &payload);
        Ok(LocalOutcome::Done(Some(serde_json::to_value(payload)?)))
    }

    /// Restores the stats, marks the answer and asks both participants to undo. Does nothing to an
    /// answer that is decided already.
    async fn take_back(&self, tx: &mut Tx, saga: &Saga) -> Result<(), WorkflowError> {
        let submitted: Submitted = data(saga)?;
        let reason = reason(saga);
        stats::hold(tx, submitted.user_id).await?;
        let now = tx.now().await?;
        let taken = answers::compensate(tx, submitted.answer_id, &reason, now).await?;
        if let Some((user_id, before)) = taken {
            stats::save(tx, user_id, &before).await?;
        }
        self.enqueue(tx, saga, &submitted, &revoked(&submitted, reason));
        Ok(())
    }

    async fn complete(&self, tx: &mut Tx, saga: &Saga) -> Result<(), WorkflowError> {
        let submitted: Submitted = data(saga)?;
        let achievements: Vec<BadgeRef> = result(saga, ACHIEVEMENTS)?.unwrap_or_default();
        let standing: Option<Standing> = result(saga, LEADERBOARD)?;
        let now = tx.now().await?;
        let Submitted {
            answer_id, user_id, ..
        } = submitted;
        recording::complete(tx, answer_id, &achievements, standing.as_ref(), now)?;
        let payload = AnswerSubmissionCompleted { answer_id, user_id };
        self.enqueue(tx, saga, &submitted, &payload);
        Ok(())
    }

    async fn fail(&self, tx: &mut Tx, saga: &Saga) -> Result<(), WorkflowError> {
        let submitted: Submitted = data(saga)?;
        let Submitted {
            answer_id, user_id, ..
        } = submitted;
        let payload = AnswerSubmissionFailed {
            answer_id,
            user_id,
            reason: reason(saga),
        };
        self.enqueue(tx, saga, &submitted, &payload);
        Ok(())
    }
}

#[async_trait]
impl Workflow for AnswerSubmission {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn reply_types(&self) -> &'static [&'static str] {
        &[
            AchievementChecked::TYPE,
            AchievementCheckFailed::TYPE,
            AchievementRevoked::TYPE,
            LeaderboardEntryUpdated::TYPE,
            LeaderboardUpdateFailed::TYPE,
            LeaderboardEntryReverted::TYPE,
        ]
    }

    fn reply(&self, recorded: &Recorded) -> Result<Option<Reply>, WorkflowError> {
        let event = &recorded.event;
        Ok(Some(match event.event_type.as_str() {
            AchievementChecked::TYPE => {
                let earned = event.payload::<AchievementChecked>()?.earned;
                Reply::done(ACHIEVEMENTS).with(serde_json::to_value(earned)?)
            }
            AchievementCheckFailed::TYPE => {
                let failed: AchievementCheckFailed = event.payload()?;
                Reply::refused(ACHIEVEMENTS, failed.reason)
            }
            AchievementRevoked::TYPE => Reply::undone(ACHIEVEMENTS),
            LeaderboardEntryUpdated::TYPE => {
                let LeaderboardEntryUpdated {
                    quiz_mode,
                    score,
                    position,
                    ..
                } = event.payload()?;
                let standing = Standing {
                    quiz_mode,
                    score,
                    position,
                };
                Reply::done(LEADERBOARD).with(serde_json::to_value(standing)?)
            }
            LeaderboardUpdateFailed::TYPE => {
                let failed: LeaderboardUpdateFailed = event.payload()?;
                Reply::refused(LEADERBOARD, failed.reason)
            }
            LeaderboardEntryReverted::TYPE => Reply::undone(LEADERBOARD),
            _ => return Ok(None),
        }))
    }

    async fn act(
        &self,
        tx: &mut Tx,
        saga: &Saga,
        _step: &str,
    ) -> Result<LocalOutcome, WorkflowError> {
        self.record(tx, saga).await
    }

    /// The recorded answer asks both participants; only a repeat asks by itself.
    fn ask(
        &self,
        saga: &Saga,
        _step: &str,
        attempt: u32,
    ) -> Result<Option<NewEvent>, WorkflowError> {
        let payload: Option<AnswerSubmitted> = result(saga, RECORD)?;
        match payload.filter(|_| attempt > 1) {
            Some(payload) => Ok(Some(addressed(NewEvent::of(&payload), &data(saga)?))),
            None => Ok(None),
        }
    }

    async fn undo(&self, tx: &mut Tx, saga: &Saga, _step: &str) -> Result<(), WorkflowError> {
        self.take_back(tx, saga).await
    }

    /// The roll-back asks both participants; only a repeat asks by itself.
    fn undo_ask(
        &self,
        saga: &Saga,
        _step: &str,
        attempt: u32,
    ) -> Result<Option<NewEvent>, WorkflowError> {
        if attempt <= 1 {
            return Ok(None);
        }
        let submitted = data(saga)?;
        let payload = revoked(&submitted, reason(saga));
        Ok(Some(addressed(NewEvent::of(&payload), &submitted)))
    }

    async fn ended(&self, tx: &mut Tx, saga: &Saga, end: End) -> Result<(), WorkflowError> {
        match end {
            End::Completed => self.complete(tx, saga).await,
            End::Compensated => self.fail(tx, saga).await,
            // Nobody will decide any more: the player gets on, and what participants did is
            // taken back where they still can.
            End::Abandoned => self.take_back(tx, saga).await,
        }
    }
}

fn data(saga: &Saga) -> Result<Submitted, WorkflowError> {
    Ok(saga.data()?)
}

fn result<T: DeserializeOwned>(saga: &Saga, step: &str) -> Result<Option<T>, WorkflowError> {
    let result: Option<&Value> = saga.result(step);
    Ok(result.map(T::deserialize).transpose()?)
}

fn reason(saga: &Saga) -> String {
    saga.state
        .reason
        .clone()
        .unwrap_or_else(|| "the saga turned back".to_owned())
}

fn revoked(submitted: &Submitted, reason: String) -> AnswerRevoked {
    AnswerRevoked {
        answer_id: submitted.answer_id,
        user_id: submitted.user_id,
        quiz_mode: submitted.quiz_mode,
        reason,
    }
}

/// All events of a player's answers are one stream, so that everybody sees them in their order.
pub(crate) fn stream(user_id: Uuid) -> String {
    format!("answers-{user_id}")
}

fn addressed(event: NewEvent, submitted: &Submitted) -> NewEvent {
    event
        .stream(stream(submitted.user_id))
        .aggregate(submitted.answer_id)
}
