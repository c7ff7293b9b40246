//! What an answer is worth.

use contracts::{Difficulty, QuizMode};

/// What each right answer directly before this one adds, before the mode's factor.
const BONUS_STEP: i64 = 2;

/// The most that a streak adds, before the mode's factor. Without a bound one long streak would
/// decide a leaderboard for ever.
pub const BONUS_MAX: i64 = 20;

/// The points of an answer: 0 when wrong; else 10, 20 or 30 by difficulty, and 2 for each right
/// answer directly before it (20 at most), times 1, 1.5 or 2 for classic, timed and survival.
///
/// `streak` counts this answer, as everywhere. The result is between 0 and 100.
#[must_use]
pub fn points(difficulty: Difficulty, mode: QuizMode, is_correct: bool, streak: i64) -> i64 {
    if !is_correct {
        return 0;
    }
    let base = match difficulty {
        Difficulty::Easy => 10,
        Difficulty::Medium => 20,
        Difficulty::Hard => 30,
    };
    let bonus = streak.saturating_sub(1).clamp(0, BONUS_MAX / BONUS_STEP) * BONUS_STEP;
    // Base and bonus are even, so that the half in 1.5 never has to be rounded.
    match mode {
        QuizMode::Classic => base + bonus,
        QuizMode::Timed => (base + bonus) * 3 / 2,
        QuizMode::Survival => (base + bonus) * 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::tests::{any_difficulty, any_mode};
    use super::*;

    #[test]
    fn a_wrong_answer_is_worth_nothing_however_hard_it_was() {
        assert_eq!(points(Difficulty::Hard, QuizMode::Survival, false, 0), 0);
    }

    #[test]
    fn the_first_right_answer_is_worth_its_difficulty() {
        let first = |difficulty| points(difficulty, QuizMode::Classic, true, 1);
        assert_eq!(first(Difficulty::Easy), 10);
        assert_eq!(first(Difficulty::Medium), 20);
        assert_eq!(first(Difficulty::Hard), 30);
    }

    #[test]
    fn each_right_answer_before_it_adds_two_up_to_the_bound() {
        let easy = |streak| points(Difficulty::Easy, QuizMode::Classic, true, streak);
        assert_eq!(easy(2), 12);
        assert_eq!(easy(10), 28);
        assert_eq!(easy(11), 30);
        assert_eq!(easy(12), 30);
        assert_eq!(easy(i64::MAX), 30);
    }

    #[test]
    fn timed_is_worth_half_as_much_again_and_survival_twice_as_much() {
        assert_eq!(points(Difficulty::Easy, QuizMode::Timed, true, 2), 18);
        assert_eq!(points(Difficulty::Easy, QuizMode::Survival, true, 2), 24);
        assert_eq!(points(Difficulty::Hard, QuizMode::Survival, true, 99), 100);
    }

    proptest! {
        #[test]
        fn points_are_never_negative_nor_more_than_a_hundred(
            difficulty in any_difficulty(),
            mode in any_mode(),
            is_correct: bool,
            streak: i64,
        ) {
            prop_assert!((0..=100).contains(&points(difficulty, mode, is_correct, streak)));
        }

        #[test]
        fn a_longer_streak_is_never_worth_less(
            difficulty in any_difficulty(),
            mode in any_mode(),
            streak in 1..50_i64,
        ) {
            let at = |streak| points(difficulty, mode, true, streak);
            prop_assert!(at(streak + 1) >= at(streak));
        }
    }
}
