//! How much was answered.

use super::super::player::{Answered, Player};

pub(super) fn first_answer(player: &Player, _: &Answered) -> bool {
    player.answered >= 1
}

pub(super) fn first_correct(player: &Player, _: &Answered) -> bool {
    player.correct >= 1
}

pub(super) fn ten_answers(player: &Player, _: &Answered) -> bool {
    player.answered >= 10
}

pub(super) fn fifty_answers(player: &Player, _: &Answered) -> bool {
    player.answered >= 50
}

pub(super) fn hundred_answers(player: &Player, _: &Answered) -> bool {
    player.answered >= 100
}

pub(super) fn five_hundred(player: &Player, _: &Answered) -> bool {
    player.answered >= 500
}

pub(super) fn thousand_answers(player: &Player, _: &Answered) -> bool {
    player.answered >= 1000
}

pub(super) fn hundred_correct(player: &Player, _: &Answered) -> bool {
    player.correct >= 100
}

#[cfg(test)]
mod tests {
    use super::super::super::scenario::{earned_at, right, times, wrong};

    #[test]
    fn the_first_answer_counts_even_when_it_is_wrong_and_only_once() {
        assert_eq!(earned_at("first-answer", [wrong(), wrong(), right()]), [1]);
    }

    #[test]
    fn the_first_right_answer_is_the_first_right_one() {
        assert_eq!(
            earned_at("first-correct", [wrong(), wrong(), right(), right()]),
            [3]
        );
    }

    #[test]
    fn ten_answers_are_ten() {
        assert_eq!(earned_at("answers-10", times(30, &wrong())), [10]);
    }

    #[test]
    fn fifty_answers_are_fifty() {
        assert_eq!(earned_at("answers-50", times(120, &wrong())), [50]);
    }

    #[test]
    fn a_hundred_answers_are_a_hundred() {
        assert_eq!(earned_at("answers-100", times(220, &wrong())), [100]);
    }

    #[test]
    fn five_hundred_answers_are_five_hundred() {
        assert_eq!(earned_at("answers-500", times(1010, &wrong())), [500]);
    }

    #[test]
    fn a_thousand_answers_are_a_thousand() {
        assert_eq!(earned_at("answers-1000", times(2010, &right())), [1000]);
    }

    #[test]
    fn a_hundred_right_answers_leave_the_wrong_ones_out() {
        let history = [times(7, &wrong()), times(99, &right()), times(1, &wrong())].concat();
        assert_eq!(earned_at("correct-100", history.clone()), [0_usize; 0]);
        assert_eq!(
            earned_at("correct-100", [history, times(120, &right())].concat()),
            [108]
        );
    }
}
