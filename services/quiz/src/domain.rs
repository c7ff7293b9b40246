//! Answers judged, points given, stats counted and taken back: pure functions, no clock, no I/O.
//!
//! Invariants: the score is never negative, the best streak is at least the streak, the modes add
//! up to the totals, and [`Stats::undo`] restores exactly what [`Stats::apply`] found.
//!
//! [`answer`] is the whole of it: what a player's choice does, decided in one call.

mod answer;
mod points;
mod stats;

pub use answer::{AnswerOutcome, Asked, CHOICE_ID_MAX, Refusal, answer, usable_choice};
pub use contracts::{Difficulty, QuizMode};
pub use points::{BONUS_MAX, points};
pub use stats::{ByMode, ModeStats, Scored, Stats, Undo, UndoError};
