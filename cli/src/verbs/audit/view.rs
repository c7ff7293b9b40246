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
use time::OffsetDateTime;
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

/// The end of an answer is told by one database's clock and kept by another's.
const CLOCKS_DIFFER: time::Duration = time::Duration::hours(1);

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
    /// Where the log has the submission.
    pub(crate) position: i64,
    /// When its last end was told, where one was.
    pub(crate) ended_at: Option<OffsetDateTime>,
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
    /// Players whose account was deleted: nothing of them may be anywhere.
    pub(crate) deleted_players: BTreeSet<Uuid>,
    /// Players whose account was deleted after the position: services may have forgotten them.
    pub(crate) leaving_players: BTreeSet<Uuid>,
    /// Where players' counts were last set back to nothing: answers before it do not count.
    pub(crate) resets: BTreeMap<Uuid, i64>,
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
    /// Answers that ended before this may be there no more.
    pub(crate) kept_since: Option<OffsetDateTime>,
}

/// What leaderboard says.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaderboardView {
    pub(crate) answers: Vec<ScoredAnswer>,
    pub(crate) entries: Vec<ScoredEntry>,
    /// Answers that ended before this may be there no more.
    pub(crate) kept_since: Option<OffsetDateTime>,
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
    pub(crate) fn observe(&mut self, recorded: &Recorded) -> Result<(), serde_json::Error> {
        let event = &recorded.event;
        match event.event_type.as_str() {
            AnswerSubmitted::TYPE => {
                let submitted: AnswerSubmitted = event.payload()?;
                let account = self.account(submitted.answer_id);
                account.submitted += 1;
                account.position = recorded.position;
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
                let completed: AnswerSubmissionCompleted = event.payload()?;
                let account = self.account(completed.answer_id);
                account.completed += 1;
                account.ended_at = Some(event.timestamp);
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
                self.deleted_players
                    .insert(event.payload::<UserDeleted>()?.user_id);
            }
            UserStatsReset::TYPE => {
                let reset: UserStatsReset = event.payload()?;
                self.resets.insert(reset.user_id, recorded.position);
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
        self.moved_players.extend(later.resets.into_keys());
        self.leaving_players.extend(later.deleted_players);
        Ok(())
    }

    /// What the answer is about, where the log has its submission.
    pub(crate) fn facts(&self, answer_id: Uuid) -> Option<&Facts> {
        self.answers.get(&answer_id)?.facts.as_ref()
    }

    /// Whether the player's account was deleted, at whatever position.
    pub(crate) fn is_gone(&self, user_id: Uuid) -> bool {
        self.deleted_players.contains(&user_id) || self.leaving_players.contains(&user_id)
    }

    /// Whether nothing can be said of this player's sums as of the position.
    pub(crate) fn passes_over(&self, user_id: Uuid) -> bool {
        self.moved_players.contains(&user_id) || self.is_gone(user_id)
    }

    /// Whether the answer came before its player's counts were set back: it counts in no sum.
    pub(crate) fn is_set_back(&self, answer_id: Uuid) -> bool {
        let account = self.answers.get(&answer_id);
        account.is_some_and(|account| {
            let reset = account
                .facts
                .and_then(|facts| self.resets.get(&facts.user_id));
            reset.is_some_and(|reset| account.position < *reset)
        })
    }
}

impl Account {
    /// Whether a service that keeps rows only since `kept_since` may have none of it any more.
    /// Without an end it has.
    pub(crate) fn may_be_pruned(&self, kept_since: Option<OffsetDateTime>) -> bool {
        let edge = kept_since.map(|since| since + CLOCKS_DIFFER);
        edge.zip(self.ended_at)
            .is_some_and(|(edge, ended_at)| ended_at < edge)
    }
}
