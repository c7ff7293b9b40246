//! The quiz modes that were played. Playing counts here, right or wrong.

use super::super::player::{Answered, Player};

/// Answers in one mode that show it is not an accident.
const REGULAR: u64 = 25;

pub(super) fn classic_first(player: &Player, _: &Answered) -> bool {
    player.by_mode.classic.answered >= 1
}

pub(super) fn timed_first(player: &Player, _: &Answered) -> bool {
    player.by_mode.timed.answered >= 1
}

pub(super) fn survival_first(player: &Player, _: &Answered) -> bool {
    player.by_mode.survival.answered >= 1
}

pub(super) fn classic_25(player: &Player, _: &Answered) -> bool {
    player.by_mode.classic.answered >= REGULAR
}

pub(super) fn timed_25(player: &Player, _: &Answered) -> bool {
    player.by_mode.timed.answered >= REGULAR
}

pub(super) fn survival_25(player: &Player, _: &Answered) -> bool {
    player.by_mode.survival.answered >= REGULAR
}

pub(super) fn all_modes(player: &Player, _: &Answered) -> bool {
    let per = &player.by_mode;
    [per.classic, per.timed, per.survival]
        .iter()
        .all(|tally| tally.answered >= 1)
}

#[cfg(test)]
mod tests {
    use contracts::QuizMode;

    use super::super::super::scenario::{earned_at, right, times, wrong};
    use super::*;

    fn playing(quiz_mode: QuizMode) -> Answered {
        Answered {
            quiz_mode,
            ..wrong()
        }
    }

    /// Two answers in another mode first, then `count` in this one, then as many again.
    fn history(other: QuizMode, mode: QuizMode, count: usize) -> Vec<Answered> {
        [times(2, &playing(other)), times(2 * count, &playing(mode))].concat()
    }

    #[test]
    fn the_first_classic_answer_is_in_classic_mode() {
        let history = history(QuizMode::Timed, QuizMode::Classic, 1);
        assert_eq!(earned_at("classic-first", history), [3]);
    }

    #[test]
    fn the_first_timed_answer_is_in_timed_mode() {
        let history = history(QuizMode::Classic, QuizMode::Timed, 1);
        assert_eq!(earned_at("timed-first", history), [3]);
    }

    #[test]
    fn the_first_survival_answer_is_in_survival_mode() {
        let history = history(QuizMode::Classic, QuizMode::Survival, 1);
        assert_eq!(earned_at("survival-first", history), [3]);
    }

    #[test]
    fn twenty_five_classic_answers_are_in_classic_mode() {
        let history = history(QuizMode::Survival, QuizMode::Classic, 25);
        assert_eq!(earned_at("classic-25", history), [27]);
    }

    #[test]
    fn twenty_five_timed_answers_are_in_timed_mode() {
        let history = history(QuizMode::Survival, QuizMode::Timed, 25);
        assert_eq!(earned_at("timed-25", history), [27]);
    }

    #[test]
    fn twenty_five_survival_answers_are_in_survival_mode() {
        let history = history(QuizMode::Timed, QuizMode::Survival, 25);
        assert_eq!(earned_at("survival-25", history), [27]);
    }

    #[test]
    fn all_modes_needs_each_of_the_three() {
        let modes = [
            QuizMode::Timed,
            QuizMode::Timed,
            QuizMode::Classic,
            QuizMode::Survival,
        ];
        let history = modes.map(playing).into_iter().chain([right()]);
        assert_eq!(earned_at("all-modes", history), [4]);
    }
}
