//! What an auditor is told. By services: enough to hold their state against the log, answer by answer
//! and sum by sum. By clients: what each of them heard.

mod told;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{QuizMode, http::AnswerStatus};

pub use told::{Outcome, Side, Told};

/// A page of one of the lists below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The log position that the service's consumers have read; absent where there is no log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// Rows of what ended before this may have been removed; absent where none ever were.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    pub kept_since: Option<OffsetDateTime>,
    /// The page.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

/// What an auditor asks for: `?after=&limit=&position=`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The last page's `nextCursor`.
    pub after: Option<String>,
    /// Items at most, 1 to 1000.
    pub limit: Option<u32>,
    /// Answer once the consumers have read the log up to here.
    pub position: Option<i64>,
}

/// Declares the lists' items.
macro_rules! items {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $field_type),* }
    )+};
}

items! {
    /// quiz and legacy, `/ops/audit/answers`: an answer as it was recorded.
    RecordedAnswer {
        /// The answer.
        answer_id: Uuid,
        /// Who answered.
        user_id: Uuid,
        /// How it was played.
        quiz_mode: QuizMode,
        /// Whether the choice was right.
        is_correct: bool,
        /// What it is worth.
        points: i64,
        /// Where its saga stands; legacy's are always completed.
        status: AnswerStatus,
    }
    /// quiz and legacy, `/ops/audit/stats`: a player's counts in one mode.
    CountedStats {
        /// The player.
        user_id: Uuid,
        /// The mode.
        quiz_mode: QuizMode,
        /// Imported answers.
        base_answered: i64,
        /// Imported right answers.
        base_correct: i64,
        /// Imported points.
        base_score: i64,
        /// Own answers that count, without the imported ones.
        answered: i64,
        /// Own right answers that count.
        correct: i64,
        /// Own points that count.
        score: i64,
    }
    /// achievement, `/ops/audit/answers`: what an answer did there.
    CheckedAnswer {
        /// The answer.
        answer_id: Uuid,
        /// Who answered; nil where nobody has to know any more: the answer is decided, or its player
        /// left.
        user_id: Uuid,
        /// Whether it counts.
        state: EffectState,
        /// The badges it earned.
        badges: Vec<String>,
    }
    /// achievement and legacy, `/ops/audit/players`: a player as the badge rules see them.
    CheckedPlayer {
        /// The player.
        user_id: Uuid,
        /// Imported answers.
        base_answered: i64,
        /// Own answers that count, without the imported ones.
        answered: i64,
        /// Badges held, unlocked or still provisional.
        badges: Vec<String>,
    }
    /// leaderboard, `/ops/audit/answers`: what an answer did there.
    ScoredAnswer {
        /// The answer.
        answer_id: Uuid,
        /// Who answered; nil where nobody has to know any more.
        user_id: Uuid,
        /// Which board.
        quiz_mode: QuizMode,
        /// The points it added.
        points: i64,
        /// Whether it counts.
        state: EffectState,
    }
    /// leaderboard and legacy, `/ops/audit/entries`: a player's line on one board.
    ScoredEntry {
        /// The player.
        user_id: Uuid,
        /// Which board.
        quiz_mode: QuizMode,
        /// Imported points.
        base_score: i64,
        /// Own points that answers earned and that count: without the imported ones, and without
        /// any bonus.
        score: i64,
    }
}

/// Whether a participant's effect counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectState {
    /// Done; its saga has not ended.
    Provisional,
    /// Done for good.
    Final,
    /// Taken back, or never done because the end came first.
    Revoked,
}
