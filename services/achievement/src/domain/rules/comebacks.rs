//! Getting up again.

use super::super::player::{Answered, Player};

pub(super) fn after_five(player: &Player, _: &Answered) -> bool {
    player.slump >= 5 && player.streak >= 5
}

pub(super) fn after_ten(player: &Player, _: &Answered) -> bool {
    player.slump >= 10 && player.streak >= 10
}

pub(super) fn redemption(player: &Player, _: &Answered) -> bool {
    player.redeemed >= 1
}

pub(super) fn ten_redemptions(player: &Player, _: &Answered) -> bool {
    player.redeemed >= 10
}

pub(super) fn cold_start(player: &Player, _: &Answered) -> bool {
    player.days_away >= 30
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use uuid::Uuid;

    use super::super::super::scenario::{earned_at, right, times, wrong};
    use super::*;

    fn about(question: u128, answer: &Answered) -> Answered {
        Answered {
            question_id: Uuid::from_u128(question),
            ..answer.clone()
        }
    }

    /// `count` wrong answers, then `count` right ones, twice.
    fn down_and_up(count: usize) -> Vec<Answered> {
        let round = [times(count, &wrong()), times(count, &right())].concat();
        [round.clone(), round].concat()
    }

    #[test]
    fn a_comeback_is_five_right_directly_after_five_wrong() {
        assert_eq!(earned_at("comeback", down_and_up(4)), [0_usize; 0]);
        assert_eq!(earned_at("comeback", down_and_up(5)), [10]);
    }

    #[test]
    fn a_mistake_in_between_spoils_the_comeback() {
        let history = [
            times(5, &wrong()),
            times(4, &right()),
            times(1, &wrong()),
            times(9, &right()),
        ];
        assert_eq!(earned_at("comeback", history.concat()), [0_usize; 0]);
    }

    #[test]
    fn a_great_comeback_is_ten_right_directly_after_ten_wrong() {
        assert_eq!(earned_at("great-comeback", down_and_up(9)), [0_usize; 0]);
        assert_eq!(earned_at("great-comeback", down_and_up(10)), [20]);
    }

    #[test]
    fn redemption_is_about_the_same_question() {
        let history = [about(1, &wrong()), about(2, &right()), about(1, &right())];
        assert_eq!(earned_at("redemption", history), [3]);
    }

    #[test]
    fn a_question_that_was_right_at_once_redeems_nothing() {
        let history = [about(1, &right()), about(1, &right()), about(1, &wrong())];
        assert_eq!(earned_at("redemption", history), [0_usize; 0]);
    }

    #[test]
    fn ten_redemptions_are_ten_different_misses_made_good() {
        let down = (0..12).map(|question| about(question, &wrong()));
        let up = (0..12).map(|question| about(question, &right()));
        assert_eq!(earned_at("redemption-10", down.chain(up)), [22]);
    }

    #[test]
    fn a_miss_is_made_good_once() {
        let history = [times(1, &wrong()), times(30, &right())].concat();
        assert_eq!(earned_at("redemption-10", history), [0_usize; 0]);
    }

    #[test]
    fn a_cold_start_follows_thirty_days_without_an_answer() {
        let after = |days: i64| Answered {
            at: right().at + Duration::days(days),
            ..right()
        };
        assert_eq!(earned_at("cold-start", [right(), after(30)]), [0_usize; 0]);
        assert_eq!(
            earned_at("cold-start", [right(), after(31), after(32), after(90)]),
            [2]
        );
    }
}
