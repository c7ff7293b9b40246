//! What all who watch a board see of it.

use contracts::{Period, QuizMode, http::LeaderboardEntry};
use serde::Serialize;

/// A board as it is shown to everybody.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The board's first day: tomorrow's board is another one, also when nobody is on either.
    pub begins: u32,
    /// The best six.
    pub top: Vec<LeaderboardEntry>,
}

/// The boards that can be watched.
#[must_use]
pub fn watched() -> Vec<(QuizMode, Period)> {
    let modes = QuizMode::ALL.iter();
    let of_mode = |mode| Period::ALL.iter().map(move |period| (mode, *period));
    modes.flat_map(|mode| of_mode(*mode)).collect()
}
