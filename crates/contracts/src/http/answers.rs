//! Answers, and what a player has reached with them.

use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::schema::{Object, ObjectBuilder, Type},
};
use uuid::Uuid;

use super::BadgeRef;
use crate::QuizMode;

requests! {
    /// `POST /api/answers`
    SubmitAnswer {
        /// What was asked.
        question_id: Uuid,
        /// What was chosen: the id of one of the question's choices.
        #[schema(min_length = 1, max_length = 40, pattern = "^[A-Za-z0-9_-]+$", example = "b")]
        choice_id: String,
        /// How it is played.
        quiz_mode: QuizMode,
    }
}

bodies! {
    /// Where the player stands on the board of the mode just played.
    Standing {
        /// The board.
        quiz_mode: QuizMode,
        /// The player's score.
        #[schema(minimum = 0)]
        score: i64,
        /// The player's place, from 1.
        #[schema(minimum = 1)]
        position: i64,
    }
    /// A decided answer: 200.
    Answer {
        /// The answer's id.
        id: Uuid,
        /// What was asked.
        question_id: Uuid,
        /// Whether the choice was right.
        is_correct: bool,
        /// The right choice.
        correct_choice_id: String,
        /// The player's streak with it.
        #[schema(minimum = 0)]
        streak: i64,
        /// What this answer was worth.
        #[schema(minimum = 0)]
        score: i64,
        /// `completed`.
        #[schema(schema_with = completed)]
        status: AnswerStatus,
        /// The badges it unlocked.
        achievements: Vec<BadgeRef>,
        /// Where it put the player; null when the board could not be asked in time.
        leaderboard: Option<Standing>,
    }
    /// An undecided or compensated answer: it never tells whether the choice was right.
    PendingAnswer {
        /// The answer's id.
        id: Uuid,
        /// `pending` or `compensated`.
        #[schema(schema_with = pending_or_compensated)]
        status: AnswerStatus,
    }
    /// Counts of one quiz mode.
    ModeStats {
        /// Answers given.
        #[schema(minimum = 0)]
        answered: i64,
        /// Right ones.
        #[schema(minimum = 0)]
        correct: i64,
        /// Points.
        #[schema(minimum = 0)]
        score: i64,
    }
    /// `GET /api/stats/me`
    Stats {
        /// Answers given.
        #[schema(minimum = 0)]
        answered: i64,
        /// Right ones.
        #[schema(minimum = 0)]
        correct: i64,
        /// `correct / answered`, 0 to 1; 0 without answers.
        #[schema(minimum = 0, maximum = 1)]
        accuracy: f64,
        /// Right answers in a row, now.
        #[schema(minimum = 0)]
        streak: i64,
        /// The longest streak ever.
        #[schema(minimum = 0)]
        best_streak: i64,
        /// By quiz mode; modes never played are absent.
        by_mode: std::collections::BTreeMap<QuizMode, ModeStats>,
    }
    /// A badge in the catalogue: `GET /api/achievements` → `{items}`.
    Badge {
        /// The badge's stable id.
        id: String,
        /// What players read.
        name: String,
        /// How to get it.
        description: String,
    }
    /// A badge of the player's: `GET /api/achievements/me` → `{items}`.
    UnlockedBadge {
        /// The badge's stable id.
        id: String,
        /// What players read.
        name: String,
        /// How it was got.
        description: String,
        /// RFC 3339.
        #[schema(format = DateTime)]
        unlocked_at: String,
    }
}

/// `GET /api/answers/{id}`: all of it once it counts; until then, and when it was taken back, only
/// where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AnswerState {
    /// It counts.
    Completed(Answer),
    /// It does not, or not yet.
    Other(PendingAnswer),
}

/// Where an answer's saga stands, as the player may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnswerStatus {
    /// Not decided yet.
    Pending,
    /// It counts.
    Completed,
    /// It was taken back and counts nowhere.
    Compensated,
}

/// The status of an answer that counts: what tells [`Answer`] from [`PendingAnswer`].
fn completed() -> Object {
    status(&["completed"])
}

/// The status of one that does not, or not yet.
fn pending_or_compensated() -> Object {
    status(&["pending", "compensated"])
}

fn status(values: &[&str]) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(values.iter().copied()))
        .build()
}
