//! Right answers in a row.

use super::super::player::{Answered, Player};

pub(super) fn three(player: &Player, _: &Answered) -> bool {
    player.streak >= 3
}

pub(super) fn five(player: &Player, _: &Answered) -> bool {
    player.streak >= 5
}

pub(super) fn ten(player: &Player, _: &Answered) -> bool {
    player.streak >= 10
}

pub(super) fn twenty_five(player: &Player, _: &Answered) -> bool {
    player.streak >= 25
}

pub(super) fn fifty(player: &Player, _: &Answered) -> bool {
    player.streak >= 50
}

#[cfg(test)]
mod tests {
    use super::super::super::player::Answered;
    use super::super::super::scenario::{earned_at, right, times, wrong};

    /// One answer short of the streak, a mistake, then the streak twice over.
    fn almost_then_twice(length: usize) -> Vec<Answered> {
        let mistake = times(1, &wrong());
        [
            times(length - 1, &right()),
            mistake,
            times(2 * length, &right()),
        ]
        .concat()
    }

    #[test]
    fn three_in_a_row_are_three_without_a_mistake() {
        assert_eq!(earned_at("streak-3", almost_then_twice(3)), [6]);
    }

    #[test]
    fn five_in_a_row_are_five_without_a_mistake() {
        assert_eq!(earned_at("streak-5", almost_then_twice(5)), [10]);
    }

    #[test]
    fn ten_in_a_row_are_ten_without_a_mistake() {
        assert_eq!(earned_at("streak-10", almost_then_twice(10)), [20]);
    }

    #[test]
    fn twenty_five_in_a_row_are_twenty_five_without_a_mistake() {
        assert_eq!(earned_at("streak-25", almost_then_twice(25)), [50]);
    }

    #[test]
    fn fifty_in_a_row_are_fifty_without_a_mistake() {
        assert_eq!(earned_at("streak-50", almost_then_twice(50)), [100]);
    }
}
