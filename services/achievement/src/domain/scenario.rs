//! Given/when/then for badge rules: histories in a line, and where in them a badge is earned.

use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{Answered, Difficulty, Player, QuizMode, apply};

/// A weekday hour that no calendar rule cares about.
pub(super) const MONDAY_10_AM: OffsetDateTime = datetime!(2026-03-02 10:00 UTC);

/// A right answer to an easy classic question of a category without badges.
pub(super) fn right() -> Answered {
    Answered {
        question_id: Uuid::from_u128(7),
        category: "general".to_owned(),
        difficulty: Difficulty::Easy,
        quiz_mode: QuizMode::Classic,
        is_correct: true,
        at: MONDAY_10_AM,
    }
}

/// The same, answered wrong.
pub(super) fn wrong() -> Answered {
    Answered {
        is_correct: false,
        ..right()
    }
}

/// `count` times the same answer.
pub(super) fn times(count: usize, answer: &Answered) -> Vec<Answered> {
    vec![answer.clone(); count]
}

/// The player after a history.
pub(super) fn play(history: impl IntoIterator<Item = Answered>) -> Player {
    history
        .into_iter()
        .fold(Player::default(), |player, answer| {
            apply(&player, &answer).0
        })
}

/// Which answers of the history (the first is 1) earned the badge. A rule that fires early, late
/// or twice shows in this list.
pub(super) fn earned_at(badge: &str, history: impl IntoIterator<Item = Answered>) -> Vec<usize> {
    let mut player = Player::default();
    let mut places = Vec::new();
    for (index, answer) in history.into_iter().enumerate() {
        let (after, fresh) = apply(&player, &answer);
        if fresh.iter().any(|id| id.as_str() == badge) {
            places.push(index + 1);
        }
        player = after;
    }
    places
}
