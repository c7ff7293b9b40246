//! What an answer does to badges: earned provisionally, then unlocked or taken back.
//!
//! Invariant: taking an answer back restores the player exactly as it was before. A player has one
//! undecided answer at a time and the log keeps the order, so nothing was built on top of it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use contracts::{
    Event, Payload, Recorded,
    events::{
        AchievementCheckFailed, AchievementChecked, AchievementEarned, AchievementRevoked,
        AchievementUnlocked, AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmitted, BadgeRef,
        UserDeleted, UserStatsReset,
    },
};
use database::Tx;
use event_store::{HandlerError, NewEvent};
use sagas::{
    participant::{self, Ledger},
    participating::{Applied, Finished, Participant, Role},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::departed;
use uuid::Uuid;

use crate::{
    domain::{self, Answered},
    store::{self, players},
};

/// The step of the answer-submission saga that this service does.
pub const STEP: &str = "achievements";

/// Applies the badge rules to answers.
#[derive(Clone, Copy, Debug)]
pub struct Badges;

/// What an answer did here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Who answered; nil once the answer is decided or its player left, when nobody has to know any
    /// more. (Always there: a replica of the version before reads it, too.)
    pub user_id: Uuid,
    /// The badges that it earned.
    pub badges: Vec<String>,
    /// The player before it; none for the first answer ever, and once the answer is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
}

#[async_trait]
impl Participant for Badges {
    type Effect = Effect;

    fn name(&self) -> &'static str {
        "badges"
    }

    fn step(&self) -> &'static str {
        STEP
    }

    fn types(&self) -> &'static [&'static str] {
        &[
            AnswerSubmitted::TYPE,
            AnswerRevoked::TYPE,
            AnswerSubmissionCompleted::TYPE,
            UserStatsReset::TYPE,
            UserDeleted::TYPE,
        ]
    }

    /// A badge is unlocked a moment after its answer was completed.
    fn awaited(&self) -> &'static [&'static str] {
        &[
            AnswerSubmitted::TYPE,
            AnswerRevoked::TYPE,
            UserStatsReset::TYPE,
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

    async fn look_ahead(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        let mut users = BTreeSet::new();
        for recorded in events {
            users.extend(changed(tx, &recorded.event).await?);
        }
        Ok(players::open(tx, users).await?)
    }

    async fn apply(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
    ) -> Result<Applied<Effect>, HandlerError> {
        let ask: AnswerSubmitted = recorded.event.payload()?;
        let kept = players::kept(tx, ask.user_id).await?;
        if kept.has_left() {
            return Ok(Applied::Refused("the account was deleted".to_owned()));
        }
        let before = kept.state().cloned();
        let player = match kept.player() {
            Ok(player) => player,
            Err(error) => {
                let reason = format!("the player's state cannot be read: {error}");
                return Ok(Applied::Refused(reason));
            }
        };
        let answered = Answered {
            question_id: ask.question_id,
            category: ask.category,
            difficulty: ask.difficulty,
            quiz_mode: ask.quiz_mode,
            is_correct: ask.is_correct,
            at: recorded.event.timestamp,
        };
        let (after, earned) = domain::apply(&player, &answered);
        kept.save(&after)?;
        for badge in &earned {
            kept.earn(badge.as_str(), ask.answer_id, recorded.event.timestamp);
        }
        let badges = earned.iter().map(ToString::to_string).collect();
        Ok(Applied::Done(Effect {
            user_id: ask.user_id,
            badges,
            before,
        }))
    }

    fn applied(&self, recorded: &Recorded, effect: &Effect) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerSubmitted {
            answer_id, user_id, ..
        } = recorded.event.payload()?;
        let earned = references(&effect.badges);
        let mut events: Vec<_> = earned
            .iter()
            .map(|badge| AchievementEarned {
                answer_id,
                user_id,
                badge: badge.clone(),
            })
            .map(|payload| addressed(&payload, user_id))
            .collect();
        events.push(addressed(
            &AchievementChecked {
                answer_id,
                user_id,
                earned,
            },
            user_id,
        ));
        Ok(events)
    }

    fn refused(&self, recorded: &Recorded, reason: &str) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerSubmitted {
            answer_id, user_id, ..
        } = recorded.event.payload()?;
        let reason = reason.to_owned();
        Ok(vec![addressed(
            &AchievementCheckFailed {
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
            answer_id, user_id, ..
        } = recorded.event.payload()?;
        let mut badges = Vec::new();
        if let Some(effect) = effect {
            let kept = players::kept(tx, user_id).await?;
            badges = kept.take_back(answer_id);
            kept.restore(effect.before.as_ref());
        }
        let badges = references(&badges);
        Ok(vec![addressed(
            &AchievementRevoked {
                answer_id,
                user_id,
                badges,
            },
            user_id,
        )])
    }

    fn undone(&self, effect: Effect) -> Effect {
        Effect {
            badges: effect.badges,
            ..Effect::default()
        }
    }

    async fn finish(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
        effect: Effect,
    ) -> Result<Finished<Effect>, HandlerError> {
        // Where the saga completed without waiting it is the ask that comes, not the completion.
        let no_saga = || HandlerError::poison("it names no saga");
        let answer_id = recorded.event.saga_id.ok_or_else(no_saga)?;
        let user_id = effect.user_id;
        let mut unlocked = Vec::new();
        // Most answers earn nothing, and then there is nothing to look at.
        if !effect.badges.is_empty() {
            let kept = players::kept(tx, user_id).await?;
            unlocked = kept.unlock(answer_id, recorded.event.timestamp);
        }
        let events = references(&unlocked)
            .into_iter()
            .map(|badge| {
                addressed(
                    &AchievementUnlocked {
                        answer_id,
                        user_id,
                        badge,
                    },
                    user_id,
                )
            })
            .collect();
        // What undoing would need is not needed any more.
        Ok(Finished {
            effect: self.undone(effect),
            events,
        })
    }

    async fn other(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        if recorded.event.event_type == UserDeleted::TYPE {
            let UserDeleted { user_id } = recorded.event.payload()?;
            return leave(tx, user_id).await;
        }
        let UserStatsReset { user_id, .. } = recorded.event.payload()?;
        if !departed::has_left(tx, user_id).await? {
            store::reset(tx, user_id, recorded.event.timestamp.into()).await?;
        }
        Ok(())
    }
}

/// The player whom an event will change, as far as the ledger tells yet.
async fn changed(tx: &mut Tx, event: &Event) -> Result<Option<Uuid>, HandlerError> {
    if event.event_type == AnswerSubmitted::TYPE {
        let ask = event.payload::<AnswerSubmitted>().ok();
        return Ok(ask.map(|ask| ask.user_id));
    }
    let is_end =
        [AnswerRevoked::TYPE, AnswerSubmissionCompleted::TYPE].contains(&event.event_type.as_str());
    let Some(saga) = event.saga_id.filter(|_| is_end) else {
        return Ok(None);
    };
    // Of an ask that comes with its end the player is known already.
    let Some(kept) = Ledger.kept(tx, saga, STEP).await? else {
        return Ok(None);
    };
    let effect = participant::effect::<Effect>(&kept).ok();
    let is_changing = |effect: &Effect| {
        let is_decided = effect.user_id.is_nil();
        let is_revoked = event.event_type == AnswerRevoked::TYPE;
        !is_decided && (is_revoked || !effect.badges.is_empty())
    };
    Ok(effect.filter(is_changing).map(|effect| effect.user_id))
}

/// Forgets the user. An answer that is undecided finds nothing to undo or to unlock at its end.
async fn leave(tx: &mut Tx, user_id: Uuid) -> Result<(), HandlerError> {
    departed::note(tx, user_id).await?;
    store::forget(tx, user_id).await?;
    Ledger.erase(tx, STEP, user_id, &Effect::default()).await?;
    Ok(())
}

fn references(ids: &[String]) -> Vec<BadgeRef> {
    let named = |id: &String| {
        let name = domain::badge(id).map_or(id.as_str(), |badge| badge.name);
        BadgeRef {
            id: id.clone(),
            name: name.to_owned(),
        }
    };
    ids.iter().map(named).collect()
}

fn addressed<P: Payload>(payload: &P, user_id: Uuid) -> NewEvent {
    NewEvent::of(payload)
        .stream(format!("achievements-{user_id}"))
        .aggregate(user_id)
}
