//! What an answer does to a board: its points count at once, and are taken off again when the
//! answer is taken back.
//!
//! Invariant: taking an answer back restores the entry exactly as it was before. A player has one
//! undecided answer at a time and the log keeps the order, so nothing was added on top of it.

use async_trait::async_trait;
use contracts::{
    Payload, QuizMode, Recorded,
    events::{
        AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmitted, LeaderboardEntryReverted,
        LeaderboardEntryUpdated, LeaderboardUpdateFailed, UserDeleted, UserUpdated,
    },
};
use database::{Timestamp, Tx};
use event_store::{HandlerError, NewEvent};
use sagas::participating::{Applied, Finished, Participant, Role};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{self, Credit},
    store::{self, Source},
};

/// The step of the answer-submission saga that this service does.
pub const STEP: &str = "leaderboard";

/// Keeps the boards.
#[derive(Clone, Copy, Debug)]
pub struct Boards;

/// What an answer did here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// The board.
    pub quiz_mode: QuizMode,
    /// The player's place with the answer.
    pub position: i64,
    /// The entry before and after.
    pub credit: Credit,
}

#[async_trait]
impl Participant for Boards {
    type Effect = Effect;

    fn name(&self) -> &'static str {
        "boards"
    }

    fn step(&self) -> &'static str {
        STEP
    }

    fn types(&self) -> &'static [&'static str] {
        &[
            AnswerSubmitted::TYPE,
            AnswerRevoked::TYPE,
            AnswerSubmissionCompleted::TYPE,
            UserUpdated::TYPE,
            UserDeleted::TYPE,
        ]
    }

    fn role(&self, event_type: &str) -> Role {
        match event_type {
            AnswerSubmitted::TYPE => Role::Ask,
            AnswerRevoked::TYPE => Role::Revocation,
            AnswerSubmissionCompleted::TYPE => Role::Completion,
            _ => Role::Other,
        }
    }

    async fn apply(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
    ) -> Result<Applied<Effect>, HandlerError> {
        let ask: AnswerSubmitted = recorded.event.payload()?;
        let AnswerSubmitted {
            user_id,
            quiz_mode,
            points,
            ..
        } = ask;
        let before = store::lock(tx, user_id, quiz_mode).await?;
        // As the databases keep it: a finer time would not compare equal when it is read again.
        let at = Timestamp::from(recorded.event.timestamp).into();
        let credit = match domain::credit(before.as_ref(), user_id, points, at) {
            Ok(credit) => credit,
            Err(refusal) => return Ok(Applied::Refused(refusal.to_string())),
        };
        store::save(tx, quiz_mode, &credit.after).await?;
        store::name(tx, user_id, &ask.display_name, Source::Answer).await?;
        let position = store::position(tx, quiz_mode, &credit.after).await?;
        Ok(Applied::Done(Effect {
            quiz_mode,
            position,
            credit,
        }))
    }

    fn applied(&self, recorded: &Recorded, effect: &Effect) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerSubmitted {
            answer_id, user_id, ..
        } = recorded.event.payload()?;
        let payload = LeaderboardEntryUpdated {
            answer_id,
            user_id,
            quiz_mode: effect.quiz_mode,
            score: effect.credit.after.score,
            position: effect.position,
        };
        Ok(vec![addressed(&payload, user_id)])
    }

    fn refused(&self, recorded: &Recorded, reason: &str) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerSubmitted {
            answer_id, user_id, ..
        } = recorded.event.payload()?;
        let reason = reason.to_owned();
        Ok(vec![addressed(
            &LeaderboardUpdateFailed {
                answer_id,
                user_id,
                reason,
            },
            user_id,
        )])
    }

    async fn undo(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
        effect: Option<&Effect>,
    ) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerRevoked {
            answer_id,
            user_id,
            quiz_mode,
            ..
        } = recorded.event.payload()?;
        let mut entry = store::lock(tx, user_id, quiz_mode).await?;
        if let (Some(now), Some(effect)) = (entry, effect) {
            entry = now.revert(&effect.credit);
            match &entry {
                Some(before) => store::save(tx, quiz_mode, before).await?,
                None => store::remove(tx, user_id, quiz_mode).await?,
            }
        }
        let score = entry.map_or(0, |entry| entry.score);
        let payload = LeaderboardEntryReverted {
            answer_id,
            user_id,
            quiz_mode,
            score,
        };
        Ok(vec![addressed(&payload, user_id)])
    }

    /// The points count already.
    async fn finish(
        &self,
        _tx: &mut Tx,
        _recorded: &Recorded,
        effect: Effect,
    ) -> Result<Finished<Effect>, HandlerError> {
        Ok(Finished {
            effect,
            events: Vec::new(),
        })
    }

    async fn other(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let event = &recorded.event;
        if event.event_type == UserDeleted::TYPE {
            let UserDeleted { user_id } = event.payload()?;
            store::forget(tx, user_id).await?;
        } else {
            let UserUpdated {
                user_id,
                display_name,
                ..
            } = event.payload()?;
            store::name(tx, user_id, &display_name, Source::Account).await?;
        }
        Ok(())
    }
}

fn addressed<P: Payload>(payload: &P, user_id: Uuid) -> NewEvent {
    NewEvent::of(payload)
        .stream(format!("leaderboard-{user_id}"))
        .aggregate(user_id)
}
