//! Playing day after day, and single days that stand out. Days are UTC days.

use super::super::player::{Answered, Player};

pub(super) fn perfect_day(player: &Player, _: &Answered) -> bool {
    player
        .today
        .is_some_and(|day| day.answered >= 10 && day.correct == day.answered)
}

pub(super) fn marathon(player: &Player, _: &Answered) -> bool {
    player.today.is_some_and(|day| day.answered >= 50)
}

pub(super) fn three_in_a_row(player: &Player, _: &Answered) -> bool {
    player.daily_streak >= 3
}

pub(super) fn seven_in_a_row(player: &Player, _: &Answered) -> bool {
    player.daily_streak >= 7
}

pub(super) fn thirty_in_a_row(player: &Player, _: &Answered) -> bool {
    player.daily_streak >= 30
}

pub(super) fn thirty_days(player: &Player, _: &Answered) -> bool {
    player.days_played >= 30
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::super::scenario::{earned_at, right, times, wrong};
    use super::*;

    fn on_day(day: i64, answer: &Answered) -> Answered {
        Answered {
            at: answer.at + Duration::days(day),
            ..answer.clone()
        }
    }

    /// One answer a day for one day less than `length`, a day off, then every day.
    fn almost_then_twice(length: i64) -> Vec<Answered> {
        let with_a_gap = (0..length - 1).chain(length..3 * length);
        with_a_gap.map(|day| on_day(day, &wrong())).collect()
    }

    #[test]
    fn a_perfect_day_starts_with_ten_right_answers() {
        assert_eq!(earned_at("perfect-day", times(25, &right())), [10]);
        assert_eq!(earned_at("perfect-day", times(9, &right())), [0_usize; 0]);
    }

    #[test]
    fn one_mistake_spoils_the_day_but_not_the_next_one() {
        let spoiled = [times(1, &wrong()), times(30, &right())].concat();
        assert_eq!(earned_at("perfect-day", spoiled.clone()), [0_usize; 0]);
        let history = [spoiled, times(10, &on_day(1, &right()))].concat();
        assert_eq!(earned_at("perfect-day", history), [41]);
    }

    #[test]
    fn ten_right_answers_over_two_days_are_no_perfect_day() {
        let history = [times(9, &right()), times(9, &on_day(1, &right()))].concat();
        assert_eq!(earned_at("perfect-day", history), [0_usize; 0]);
    }

    #[test]
    fn a_marathon_is_fifty_answers_within_one_day() {
        let history = [times(49, &wrong()), times(60, &on_day(1, &wrong()))].concat();
        assert_eq!(earned_at("marathon", history), [99]);
    }

    #[test]
    fn three_days_in_a_row_have_no_gap() {
        assert_eq!(earned_at("daily-3", almost_then_twice(3)), [5]);
    }

    #[test]
    fn seven_days_in_a_row_have_no_gap() {
        assert_eq!(earned_at("daily-7", almost_then_twice(7)), [13]);
    }

    #[test]
    fn thirty_days_in_a_row_have_no_gap() {
        assert_eq!(earned_at("daily-30", almost_then_twice(30)), [59]);
    }

    #[test]
    fn many_answers_on_one_day_are_one_day() {
        assert_eq!(earned_at("daily-3", times(40, &right())), [0_usize; 0]);
    }

    #[test]
    fn thirty_different_days_may_have_gaps() {
        let history: Vec<Answered> = (0..70).map(|day| on_day(day * 3, &wrong())).collect();
        assert_eq!(earned_at("days-30", history), [30]);
    }
}
