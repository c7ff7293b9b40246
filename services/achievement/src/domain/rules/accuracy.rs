//! The share of right answers, once there are enough of them to mean something.

use super::super::player::{Answered, Player};

pub(super) fn eighty_percent(player: &Player, _: &Answered) -> bool {
    player.answered >= 50 && has_percent(player, 80)
}

pub(super) fn ninety_percent(player: &Player, _: &Answered) -> bool {
    player.answered >= 100 && has_percent(player, 90)
}

/// In whole numbers: a share of exactly `percent` has it, and no rounding decides.
fn has_percent(player: &Player, percent: u64) -> bool {
    player.correct * 100 >= player.answered * percent
}

#[cfg(test)]
mod tests {
    use super::super::super::scenario::{earned_at, right, times, wrong};

    #[test]
    fn eighty_percent_waits_for_fifty_answers() {
        assert_eq!(earned_at("accuracy-80", times(120, &right())), [50]);
        assert_eq!(earned_at("accuracy-80", times(49, &right())), [0_usize; 0]);
    }

    #[test]
    fn eighty_percent_is_reached_exactly_and_not_one_right_answer_before() {
        // 40 of 51 are 78.4 %; 44 of 55 are exactly 80 %, 43 of 54 are 79.6 %.
        let history = [times(11, &wrong()), times(43, &right())].concat();
        assert_eq!(earned_at("accuracy-80", history.clone()), [0_usize; 0]);
        assert_eq!(
            earned_at("accuracy-80", [history, times(60, &right())].concat()),
            [55]
        );
    }

    #[test]
    fn ninety_percent_waits_for_a_hundred_answers() {
        assert_eq!(earned_at("accuracy-90", times(220, &right())), [100]);
        assert_eq!(earned_at("accuracy-90", times(99, &right())), [0_usize; 0]);
    }

    #[test]
    fn ninety_percent_is_reached_exactly_and_not_one_right_answer_before() {
        // 11 mistakes need 99 right answers: 98 of 109 are 89.9 %, 99 of 110 are exactly 90 %.
        let history = [times(11, &wrong()), times(98, &right())].concat();
        assert_eq!(earned_at("accuracy-90", history.clone()), [0_usize; 0]);
        assert_eq!(
            earned_at("accuracy-90", [history, times(60, &right())].concat()),
            [110]
        );
    }

    #[test]
    fn accuracy_that_is_lost_again_neither_takes_the_badge_nor_gives_it_twice() {
        let history = [
            times(50, &right()),
            times(50, &wrong()),
            times(400, &right()),
        ]
        .concat();
        assert_eq!(earned_at("accuracy-80", history), [50]);
    }
}
