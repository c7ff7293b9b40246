//! When an answer was given: hours and days of the week and year, all in UTC. An hour includes its
//! first instant and leaves out its last.

use time::{Month, Weekday};

use super::super::player::{Answered, Player};

pub(super) fn night_owl(_: &Player, answer: &Answered) -> bool {
    (0..5).contains(&answer.utc().hour())
}

pub(super) fn early_bird(_: &Player, answer: &Answered) -> bool {
    (5..8).contains(&answer.utc().hour())
}

pub(super) fn lunch_break(_: &Player, answer: &Answered) -> bool {
    answer.utc().hour() == 12
}

pub(super) fn weekend(_: &Player, answer: &Answered) -> bool {
    matches!(answer.utc().weekday(), Weekday::Saturday | Weekday::Sunday)
}

pub(super) fn leap_day(_: &Player, answer: &Answered) -> bool {
    let date = answer.utc().date();
    date.month() == Month::February && date.day() == 29
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::super::super::scenario::{earned_at, right};
    use super::*;

    fn at(times: &[OffsetDateTime]) -> Vec<Answered> {
        times
            .iter()
            .map(|at| Answered { at: *at, ..right() })
            .collect()
    }

    #[test]
    fn the_night_owl_is_awake_from_midnight_until_just_before_five() {
        let outside = at(&[
            datetime!(2026-03-02 23:59:59.999_999 UTC),
            datetime!(2026-03-03 5:00 UTC),
        ]);
        assert_eq!(earned_at("night-owl", outside), [0_usize; 0]);
        assert_eq!(
            earned_at("night-owl", at(&[datetime!(2026-03-02 0:00 UTC); 3])),
            [1]
        );
        let last = at(&[datetime!(2026-03-02 4:59:59.999_999 UTC)]);
        assert_eq!(earned_at("night-owl", last), [1]);
    }

    #[test]
    fn the_early_bird_is_up_from_five_until_just_before_eight() {
        let outside = at(&[
            datetime!(2026-03-02 4:59:59.999_999 UTC),
            datetime!(2026-03-02 8:00 UTC),
        ]);
        assert_eq!(earned_at("early-bird", outside), [0_usize; 0]);
        assert_eq!(
            earned_at("early-bird", at(&[datetime!(2026-03-02 5:00 UTC); 3])),
            [1]
        );
        let last = at(&[datetime!(2026-03-02 7:59:59.999_999 UTC)]);
        assert_eq!(earned_at("early-bird", last), [1]);
    }

    #[test]
    fn the_lunch_break_is_the_hour_after_noon() {
        let outside = at(&[
            datetime!(2026-03-02 11:59:59.999_999 UTC),
            datetime!(2026-03-02 13:00 UTC),
        ]);
        assert_eq!(earned_at("lunch-break", outside), [0_usize; 0]);
        assert_eq!(
            earned_at("lunch-break", at(&[datetime!(2026-03-02 12:00 UTC); 3])),
            [1]
        );
    }

    #[test]
    fn the_weekend_is_saturday_and_sunday() {
        let week = at(&[
            datetime!(2026-03-06 23:59:59 UTC),
            datetime!(2026-03-09 0:00 UTC),
        ]);
        assert_eq!(earned_at("weekend", week), [0_usize; 0]);
        let both = at(&[
            datetime!(2026-03-07 0:00 UTC),
            datetime!(2026-03-08 23:59 UTC),
        ]);
        assert_eq!(earned_at("weekend", both), [1]);
        assert_eq!(
            earned_at("weekend", at(&[datetime!(2026-03-08 23:59 UTC)])),
            [1]
        );
    }

    #[test]
    fn the_leap_day_is_the_29th_of_february() {
        let around = at(&[
            datetime!(2028-02-28 23:59 UTC),
            datetime!(2028-03-01 0:00 UTC),
        ]);
        assert_eq!(earned_at("leap-day", around), [0_usize; 0]);
        assert_eq!(
            earned_at("leap-day", at(&[datetime!(2028-02-29 10:00 UTC); 2])),
            [1]
        );
    }

    #[test]
    fn the_hour_is_the_utc_hour_whatever_offset_the_time_carries() {
        let midnight_in_berlin_is_22_utc = at(&[datetime!(2026-07-02 0:30 +2)]);
        assert_eq!(
            earned_at("night-owl", midnight_in_berlin_is_22_utc),
            [0_usize; 0]
        );
    }
}
