//! Which boards there are: one per quiz mode and period, and a new one each day and each week.

use contracts::{Period, QuizMode};
use time::{Duration, OffsetDateTime};

const SECONDS_OF_A_DAY: i64 = 86_400;

/// 1970-01-01 was a Thursday: the third day after a Monday.
const EPOCH_WEEKDAY: i64 = 3;

/// One board. Days are those of UTC, weeks begin on Monday (ISO 8601).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Board {
    /// How its players play.
    pub quiz_mode: QuizMode,
    /// Over which time it counts.
    pub period: Period,
    /// Its first day, in days since 1970-01-01; 0 for all time.
    pub begins: u32,
}

impl Board {
    /// The board that counts what happens `at` this instant.
    #[must_use]
    pub fn at(quiz_mode: QuizMode, period: Period, at: OffsetDateTime) -> Self {
        let day = at.unix_timestamp().div_euclid(SECONDS_OF_A_DAY);
        let begins = match period {
            Period::AllTime => 0,
            Period::Day => day,
            Period::Week => day - (day + EPOCH_WEEKDAY).rem_euclid(7),
        };
        // Nothing was played before 1970.
        let begins = u32::try_from(begins.max(0)).unwrap_or(u32::MAX);
        Self {
            quiz_mode,
            period,
            begins,
        }
    }

    /// The three boards that count an answer given `at` this instant: all time, day, week.
    #[must_use]
    pub fn counting(quiz_mode: QuizMode, at: OffsetDateTime) -> [Self; 3] {
        [Period::AllTime, Period::Day, Period::Week].map(|period| Self::at(quiz_mode, period, at))
    }

    /// The board's number in the database, for ever: all boards of a period are neighbours, the
    /// older ones first.
    #[must_use]
    pub fn id(self) -> i64 {
        let mode = match self.quiz_mode {
            QuizMode::Classic => 0,
            QuizMode::Timed => 1,
            QuizMode::Survival => 2,
        };
        Self::first_id(self.period, self.begins) | mode
    }

    /// The board that a number stands for.
    #[must_use]
    pub fn of_id(id: i64) -> Option<Self> {
        let quiz_mode = match id & 0xff {
            0 => QuizMode::Classic,
            1 => QuizMode::Timed,
            2 => QuizMode::Survival,
            _ => return None,
        };
        let period = match id >> 40 {
            0 => Period::AllTime,
            1 => Period::Day,
            2 => Period::Week,
            _ => return None,
        };
        let begins = u32::try_from((id >> 8) & 0xffff_ffff).ok()?;
        Some(Self {
            quiz_mode,
            period,
            begins,
        })
    }

    /// No board of `period` that begins on or after the day `begins` has a smaller number.
    #[must_use]
    pub fn first_id(period: Period, begins: u32) -> i64 {
        let period: i64 = match period {
            Period::AllTime => 0,
            Period::Day => 1,
            Period::Week => 2,
        };
        period << 40 | i64::from(begins) << 8
    }

    /// When it begins to count; none for all time.
    #[must_use]
    pub fn since(self) -> Option<OffsetDateTime> {
        (self.period != Period::AllTime)
            .then(|| OffsetDateTime::UNIX_EPOCH + Duration::days(i64::from(self.begins)))
    }

    /// When the next board of its kind begins to count; none for all time.
    #[must_use]
    pub fn until(self) -> Option<OffsetDateTime> {
        let days = if self.period == Period::Week { 7 } else { 1 };
        self.since().map(|since| since + Duration::days(days))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Weekday, macros::datetime};

    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc_and_a_week_on_monday() {
        let sunday_night = datetime!(2026-11-22 23:59:59.999_999 UTC);
        let day = Board::at(QuizMode::Timed, Period::Day, sunday_night);
        assert_eq!(day.since(), Some(datetime!(2026-11-22 00:00 UTC)));
        let week = Board::at(QuizMode::Timed, Period::Week, sunday_night);
        assert_eq!(week.since(), Some(datetime!(2026-11-16 00:00 UTC)));
        assert_eq!(week.until(), Some(datetime!(2026-11-23 00:00 UTC)));
        let monday = Board::at(
            QuizMode::Timed,
            Period::Week,
            datetime!(2026-11-23 00:00 UTC),
        );
        assert_eq!(monday.since(), week.until());
    }

    #[test]
    fn the_first_week_of_a_year_may_begin_in_the_year_before() {
        let new_year = datetime!(2027-01-01 12:00 UTC);
        let week = Board::at(QuizMode::Classic, Period::Week, new_year);
        assert_eq!(week.since(), Some(datetime!(2026-12-28 00:00 UTC)));
    }

    #[test]
    fn all_time_has_one_board_per_mode() {
        let board = |at| Board::at(QuizMode::Classic, Period::AllTime, at);
        assert_eq!(
            board(datetime!(2026-11-22 00:00 UTC)),
            board(datetime!(2031-01-01 00:00 UTC))
        );
        assert_eq!(board(datetime!(2026-11-22 00:00 UTC)).since(), None);
    }

    proptest! {
        #[test]
        fn a_board_counts_every_instant_from_its_begin_to_its_end(
            seconds in 1_000_000_i64..9_000_000_000, mode in 0..3_usize
        ) {
            let at = OffsetDateTime::from_unix_timestamp(seconds).expect("within range");
            for board in Board::counting(QuizMode::ALL[mode], at) {
                prop_assert_eq!(Board::of_id(board.id()), Some(board));
                if let (Some(since), Some(until)) = (board.since(), board.until()) {
                    prop_assert!(since <= at && at < until);
                    prop_assert!(board.period == Period::Day || since.weekday() == Weekday::Monday);
                    prop_assert_eq!(Board::at(board.quiz_mode, board.period, since), board);
                }
            }
        }
    }
}
