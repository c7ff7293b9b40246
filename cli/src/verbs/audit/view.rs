//! What an audit compares: the log's account of every answer, and each service's own account.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    Payload, QuizMode, Recorded,
    audit::{
        CheckedAnswer, CheckedPlayer, CountedStats, RecordedAnswer, ScoredAnswer, ScoredEntry,
    },
    events::{
        AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted,
        SagaIntervened, UserDeleted, UserStatsReset,
    },
};
use uuid::Uuid;

/// The event types that tell an answer's fate.
pub(crate) const TYPES: &[&str] = &[
    AnswerSubmitted::TYPE,
    AnswerRevoked::TYPE,
    AnswerSubmissionCompleted::TYPE,
    AnswerSubmissionFailed::TYPE,
    SagaIntervened::TYPE,
    UserDeleted::TYPE,
    UserStatsReset::TYPE,
];

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Who answered.
    pub(crate) user_id: Uuid,
    /// How it was played.
    pub(crate) quiz_mode: QuizMode,
    /// Whether the choice was right.
    pub(crate) is_correct: bool,
    /// What it is worth.
    pub(crate) points: i64,
}

/// What the log says of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// As it was submitted; none when the log only knows its end.
    pub(crate) facts: Option<Facts>,
    /// How often each of its events is in the log.
    pub(crate) submitted: u32,
    pub(crate) revoked: u32,
    pub(crate) completed: u32,
    pub(crate) failed: u32,
    pub(crate) abandoned: u32,
}

/// Where the log leaves an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its saga has not decided.
    Undecided,
    /// It counts everywhere.
    Completed,
    /// Taken back where it was recorded; the participants have not all confirmed.
    Compensating,
    /// It counts nowhere.
    Compensated,
    /// An operator gave its saga up.
    Abandoned,
    /// The log says things of it that cannot both be.
    Contradictory,
}

/// The log up to one position.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogView {
    /// Every answer.
    pub(crate) answers: BTreeMap<Uuid, Account>,
    /// Answers that events after the position are about.
    pub(crate) moved_answers: BTreeSet<Uuid>,
    /// Their players.
    pub(crate) moved_players: BTreeSet<Uuid>,
    /// Players whose state was emptied on purpose: nothing is expected of their sums.
    pub(crate) emptied_players: BTreeSet<Uuid>,
}

/// What quiz says.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuizView {
    pub(crate) answers: Vec<RecordedAnswer>,
    pub(crate) stats: Vec<CountedStats>,
}

/// What achievement says.
#[derive(Clone, Debug, Default)]
pub(crate) struct AchievementView {
    pub(crate) answers: Vec<CheckedAnswer>,
    pub(crate) players: Vec<CheckedPlayer>,
}

/// What leaderboard says.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaderboardView {
    pub(crate) answers: Vec<ScoredAnswer>,
    pub(crate) entries: Vec<ScoredEntry>,
}

/// What the services together say: the candidate side.
#[derive(Clone, Debug, Default)]
pub(crate) struct CandidateView {
    pub(crate) quiz: QuizView,
    pub(crate) achievement: AchievementView,
    pub(crate) leaderboard: LeaderboardView,
}

/// What the monolith says: the legacy side.
#[derive(Clone, Debug, Default)]
pub(crate) struct LegacyView {
    pub(crate) answers: Vec<RecordedAnswer>,
    pub(crate) stats: Vec<CountedStats>,
    pub(crate) players: Vec<CheckedPlayer>,
    pub(crate) entries: Vec<ScoredEntry>,
}

impl Account {
    /// Where the log leaves it. It may say more than once that the answer was revoked: that is the
    /// ask to the participants, repeated until they confirm.
    pub(crate) fn fate(&self) -> Fate {
        let is_revoked = self.revoked > 0;
        match (self.submitted, self.completed, self.failed) {
            (1, 1, 0) if !is_revoked => Fate::Completed,
            (1, 0, 1) if is_revoked => Fate::Compensated,
            (1, 0, 0) if self.abandoned > 0 => Fate::Abandoned,
            (1, 0, 0) if is_revoked => Fate::Compensating,
            (1, 0, 0) => Fate::Undecided,
            _ => Fate::Contradictory,
        }
    }
}

impl LogView {
    fn account(&mut self, id: Uuid) -> &mut Account {
        self.answers.entry(id).or_default()
    }

    /// Takes an event at or below the position into account.
    ///
    /// # Errors
    /// When a payload does not have its type's shape.
    pub(crate) fn observe(&mut self, event: &Recorded) -> Result<(), serde_json::Error> {
        let event = &event.event;
        match event.event_type.as_str() {
            AnswerSubmitted::TYPE => {
                let submitted: AnswerSubmitted = event.payload()?;
                let account = self.account(submitted.answer_id);
                account.submitted += 1;
                account.facts.get_or_insert(Facts {
                    user_id: submitted.user_id,
                    quiz_mode: submitted.quiz_mode,
                    is_correct: submitted.is_correct,
                    points: submitted.points,
                });
            }
            AnswerRevoked::TYPE => {
                self.account(event.payload::<AnswerRevoked>()?.answer_id)
                    .revoked += 1;
            }
            AnswerSubmissionCompleted::TYPE => {
                self.account(event.payload::<AnswerSubmissionCompleted>()?.answer_id)
                    .completed += 1;
            }
            AnswerSubmissionFailed::TYPE => {
                self.account(event.payload::<AnswerSubmissionFailed>()?.answer_id)
                    .failed += 1;
            }
            SagaIntervened::TYPE => {
                // The saga's id is its answer's. Another definition's saga has no account here.
                let act: SagaIntervened = event.payload()?;
                if let ("abandon", Some(account)) = (&*act.verb, self.answers.get_mut(&act.saga)) {
                    account.abandoned += 1;
                }
            }
            UserDeleted::TYPE => {
                self.emptied_players
                    .insert(event.payload::<UserDeleted>()?.user_id);
            }
            UserStatsReset::TYPE => {
                self.emptied_players
                    .insert(event.payload::<UserStatsReset>()?.user_id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes note of an event after the position: what it is about has moved on.
    ///
    /// # Errors
    /// When a payload does not have its type's shape.
    pub(crate) fn observe_later(&mut self, event: &Recorded) -> Result<(), serde_json::Error> {
        let mut later = Self::default();
        later.observe(event)?;
        for (id, account) in later.answers {
            let facts = account
                .facts
                .or_else(|| self.answers.get(&id).and_then(|a| a.facts));
            self.moved_players.extend(facts.map(|facts| facts.user_id));
            self.moved_answers.insert(id);
        }
        self.moved_players.extend(later.emptied_players);
        Ok(())
    }

    /// Whether nothing can be said of this player's sums as of the position.
    pub(crate) fn passes_over(&self, user_id: Uuid) -> bool {
        self.moved_players.contains(&user_id) || self.emptied_players.contains(&user_id)
    }
}
