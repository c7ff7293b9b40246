//! What the log tells of each answer.

use std::collections::BTreeMap;

use contracts::{
    Payload,
    events::{
        AchievementChecked, AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmissionFailed,
        AnswerSubmitted, LeaderboardEntryUpdated,
    },
};
use uuid::Uuid;

use super::{Claim, Findings};
use crate::facts::Logged;

/// All answers of the log.
#[derive(Default)]
pub(super) struct Story {
    pub(super) answers: BTreeMap<Uuid, Account>,
    /// Their ids, as they were submitted.
    pub(super) in_order: Vec<Uuid>,
}

/// Where an answer's events lie.
#[derive(Default)]
pub(super) struct Account {
    pub(super) submitted: Option<Submitted>,
    pub(super) submissions: u32,
    pub(super) revoked: Vec<i64>,
    pub(super) completed: Vec<i64>,
    pub(super) failed: Vec<i64>,
    /// The boards' replies.
    pub(super) placed: Vec<LeaderboardEntryUpdated>,
    /// The badge rules' replies.
    pub(super) checked: Vec<AchievementChecked>,
}

pub(super) struct Submitted {
    pub(super) position: i64,
    pub(super) answer: AnswerSubmitted,
}

/// Where the log leaves an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Completed,
    Compensated,
    /// Undecided, or told of in ways that cannot all be.
    Neither,
}

impl Account {
    /// Asks for the undo are repeated until they are confirmed; all else is once.
    pub(super) fn fate(&self) -> Fate {
        let ends = (
            self.submissions,
            self.completed.len(),
            self.revoked.len(),
            self.failed.len(),
        );
        match ends {
            (1, 1, 0, 0) => Fate::Completed,
            (1, 0, 1.., 1) => Fate::Compensated,
            _ => Fate::Neither,
        }
    }

    /// Where it was decided.
    pub(super) fn decided_at(&self) -> Option<i64> {
        self.completed.iter().chain(&self.revoked).min().copied()
    }
}

impl Story {
    pub(super) fn of(log: &[Logged], findings: &mut Findings) -> Self {
        let mut story = Self::default();
        for event in log {
            if let Err(error) = story.observe(event) {
                let (kind, position) = (&event.event_type, event.position);
                let text = format!("{kind} at {position} cannot be read: {error}");
                findings.add(Claim::Streams, text);
            }
        }
        story
    }

    fn observe(&mut self, event: &Logged) -> serde_json::Result<()> {
        let position = event.position;
        match event.event_type.as_str() {
            AnswerSubmitted::TYPE => {
                let answer: AnswerSubmitted = serde_json::from_value(event.payload.clone())?;
                let id = answer.answer_id;
                let account = self.answers.entry(id).or_default();
                account.submissions += 1;
                if account.submitted.is_none() {
                    self.in_order.push(id);
                    account.submitted = Some(Submitted { position, answer });
                }
            }
            AnswerRevoked::TYPE => {
                let revoked: AnswerRevoked = serde_json::from_value(event.payload.clone())?;
                self.of_answer(revoked.answer_id).revoked.push(position);
            }
            AnswerSubmissionCompleted::TYPE => {
                let end: AnswerSubmissionCompleted = serde_json::from_value(event.payload.clone())?;
                self.of_answer(end.answer_id).completed.push(position);
            }
            AnswerSubmissionFailed::TYPE => {
                let end: AnswerSubmissionFailed = serde_json::from_value(event.payload.clone())?;
                self.of_answer(end.answer_id).failed.push(position);
            }
            LeaderboardEntryUpdated::TYPE => {
                let reply: LeaderboardEntryUpdated = serde_json::from_value(event.payload.clone())?;
                self.of_answer(reply.answer_id).placed.push(reply);
            }
            AchievementChecked::TYPE => {
                let reply: AchievementChecked = serde_json::from_value(event.payload.clone())?;
                self.of_answer(reply.answer_id).checked.push(reply);
            }
            _ => {}
        }
        Ok(())
    }

    fn of_answer(&mut self, id: Uuid) -> &mut Account {
        self.answers.entry(id).or_default()
    }

    pub(super) fn fate(&self, id: Uuid) -> Option<Fate> {
        self.answers.get(&id).map(Account::fate)
    }
}
