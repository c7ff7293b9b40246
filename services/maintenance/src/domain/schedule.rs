//! Cron expressions in a time zone.
//!
//! When clocks are set forward, a time that does not exist is due at the next instant that does;
//! when they are set back, a time that exists twice is due once, the first time. A schedule that
//! names every hour means intervals, not times of day: it goes by real time, through both hours.

use std::str::FromStr;

use croner::{Cron, parser::CronParser};
use database::Timestamp;
use jiff::{Timestamp as Instant, civil, tz::TimeZone};
use thiserror::Error;

/// Due times that one look counts at most: each minute of the week that is looked back, and more. A
/// schedule has no seconds, so the newest is always among them.
const COUNTED: usize = 8 * 24 * 60;

/// Hours of a day: a schedule that names all of them means intervals.
const EVERY_HOUR: usize = 24;

/// When a job is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    text: String,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleFault {
    /// Not a cron expression.
    #[error("{0:?} is no cron expression: {1}")]
    Expression(String, String),
    /// No such time zone.
    #[error("{0:?} is no IANA time zone")]
    Zone(String),
    /// An expression that no date fits.
    #[error("{0:?} is never due")]
    Never(String),
}

/// The due times of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The newest of them.
    pub newest: Timestamp,
    /// How many there are; counted to a bound.
    pub count: usize,
}

impl Schedule {
    /// Reads an expression of five fields: nothing here is due more often than each minute.
    ///
    /// # Errors
    /// [`ScheduleFault`].
    pub fn parse(expression: &str, zone: &str) -> Result<Self, ScheduleFault> {
        let zone = Self::zone(zone)?;
        let cron = CronParser::builder()
            .seconds(croner::parser::Seconds::Disallowed)
            .year(croner::parser::Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| ScheduleFault::Expression(expression.to_owned(), error.to_string()))?;
        let schedule = Self {
            cron,
            zone,
            text: expression.to_owned(),
        };
        // 2000-02-29 was a leap day: what is not due in the years after it is never due.
        match schedule.next(Timestamp::from_micros(951_782_400_000_000)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleFault::Never(expression.to_owned())),
        }
    }

    /// The time zone of that name.
    ///
    /// # Errors
    /// [`ScheduleFault::Zone`].
    pub fn zone(name: &str) -> Result<TimeZone, ScheduleFault> {
        TimeZone::get(name).map_err(|_| ScheduleFault::Zone(name.to_owned()))
    }

    /// The expression as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first due time after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = Instant::from_microsecond(after.as_micros()).ok()?;
        let zoned = after.to_zoned(self.zone.clone());
        if self.cron.pattern.hours.values().len() == EVERY_HOUR {
            let next = self.cron.find_next_occurrence(&zoned, false).ok()?;
            return Some(Timestamp::from_micros(next.timestamp().as_microsecond()));
        }
        // No civil time before the clock's is due after `after`; where clocks were set back, one
        // behind it may have been due the first time that it was.
        let mut civil = zoned.datetime();
        loop {
            civil = self.cron.find_next_occurrence(&civil, false).ok()?;
            let instant = self.instant(civil)?;
            if instant > after {
                return Some(Timestamp::from_micros(instant.as_microsecond()));
            }
        }
    }

    /// What was due after `from` and not after `until`; none when nothing was.
    pub fn due(&self, from: Timestamp, until: Timestamp) -> Option<Due> {
        let mut due: Option<Due> = None;
        let mut at = from;
        for count in 1..=COUNTED {
            match self.next(at).filter(|next| *next <= until) {
                Some(newest) => {
                    at = newest;
                    due = Some(Due { newest, count });
                }
                None => break,
            }
        }
        due
    }

    /// The instant of a civil time: the first of two, or the end of the gap that it falls into.
    fn instant(&self, civil: civil::DateTime) -> Option<Instant> {
        use jiff::tz::AmbiguousOffset;
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { before, .. } => {
                // Read by the offset before the gap, it lies at the gap's end or behind it; what
                // precedes is searched for strictly before.
                let behind = before.to_timestamp(civil).ok()?;
                let strictly = behind
                    .checked_add(jiff::SignedDuration::from_nanos(1))
                    .ok()?;
                let mut transitions = self.zone.preceding(strictly);
                let end = transitions.next().map(|transition| transition.timestamp());
                end.or(Some(behind))
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                ambiguous.earlier().ok()
            }
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleFault;

    /// An expression in UTC.
    fn from_str(expression: &str) -> Result<Self, ScheduleFault> {
        Self::parse(expression, "UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let instant: Instant = text.parse().unwrap();
        Timestamp::from_micros(instant.as_microsecond())
    }

    /// The due times from `from` on, as UTC texts.
    fn times(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(expression, zone).unwrap();
        let mut now = at(from);
        let next = || {
            now = schedule.next(now).unwrap();
            now.to_string()
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn berlin_loses_and_repeats_an_hour() {
        let (spring, autumn) = ("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z");
        for (expression, from, expected) in [
            // 02:30 does not exist on the 29th: 03:00 summer time is the next instant that does.
            (
                "30 2 * * *",
                spring,
                ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            ),
            // The first instant of the gap is in it.
            (
                "0 2 * * *",
                spring,
                ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
            ),
            // Two times in the gap are one.
            (
                "15,45 2 * * *",
                spring,
                ["2026-03-29T01:00:00Z", "2026-03-30T00:15:00Z"],
            ),
            // 02:30 exists twice on the 25th, first in summer time.
            (
                "30 2 * * *",
                autumn,
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            ),
            (
                "0,30 2 25 * *",
                autumn,
                ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"],
            ),
            // Times outside the moved hour are not touched.
            (
                "0 4 * * *",
                spring,
                ["2026-03-29T02:00:00Z", "2026-03-30T02:00:00Z"],
            ),
            (
                "0 1 * * *",
                autumn,
                ["2026-10-24T23:00:00Z", "2026-10-26T00:00:00Z"],
            ),
        ] {
            assert_eq!(
                times(expression, "Europe/Berlin", from, 2),
                expected,
                "{expression} from {from}"
            );
        }
    }

    #[test]
    fn an_interval_goes_by_real_time_through_both_hours() {
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:20:00Z", 4),
            [
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z"
            ]
        );
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:20:00Z", 3),
            [
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z"
            ]
        );
    }

    #[test]
    fn a_midnight_that_does_not_exist_is_due_when_the_day_begins() {
        for (zone, from, expected) in [
            (
                "America/Santiago",
                "2026-09-05T12:00:00Z",
                ["2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"],
            ),
            (
                "Africa/Cairo",
                "2026-04-23T12:00:00Z",
                ["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"],
            ),
        ] {
            assert_eq!(times("0 0 * * *", zone, from, 2), expected, "{zone}");
        }
    }

    #[test]
    fn due_times_follow_one_another_from_wherever_one_looks() {
        // Through the repeated hour and the lost one, in steps of ten minutes.
        for from in ["2026-10-24T22:00:00Z", "2026-03-28T22:00:00Z"] {
            let schedule = Schedule::parse("0,20,40 2,3 * * *", "Europe/Berlin").unwrap();
            let all = times("0,20,40 2,3 * * *", "Europe/Berlin", from, 20);
            let ten = std::time::Duration::from_secs(600);
            let mut now = at(from);
            for _ in 0..6 * 10 {
                let expected = all.iter().find(|due| at(due) > now).unwrap();
                assert_eq!(&schedule.next(now).unwrap().to_string(), expected);
                now = now + ten;
            }
        }
    }

    #[test]
    fn a_day_that_a_zone_skipped_is_due_when_the_next_one_begins() {
        // Samoa had no 30 December 2011.
        assert_eq!(
            times("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 1),
            ["2011-12-30T10:00:00Z"]
        );
    }

    #[test]
    fn leap_days_are_understood() {
        assert_eq!(
            times("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1),
            ["2028-02-29T00:00:00Z"]
        );
    }

    #[test]
    fn what_was_due_is_counted_and_the_newest_told() {
        let schedule: Schedule = "0 * * * *".parse().unwrap();
        let due = schedule.due(at("2026-01-01T00:00:00Z"), at("2026-01-01T03:30:00Z"));
        assert_eq!(
            due,
            Some(Due {
                newest: at("2026-01-01T03:00:00Z"),
                count: 3
            })
        );
        let none = schedule.due(at("2026-01-01T03:00:00Z"), at("2026-01-01T03:59:59Z"));
        assert_eq!(none, None);
        let each_minute: Schedule = "* * * * *".parse().unwrap();
        let week = each_minute.due(at("2026-01-01T00:00:00Z"), at("2026-01-08T00:00:00Z"));
        let newest = week.map(|due| (due.newest, due.count));
        assert_eq!(newest, Some((at("2026-01-08T00:00:00Z"), 7 * 24 * 60)));
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        for expression in ["61 * * * *", "*/20 * * * * *"] {
            assert!(matches!(
                Schedule::parse(expression, "UTC"),
                Err(ScheduleFault::Expression(..))
            ));
        }
        assert!(matches!(
            Schedule::parse("* * * * *", "Mars/Olympus"),
            Err(ScheduleFault::Zone(_))
        ));
        assert!(matches!(
            Schedule::parse("0 0 30 2 *", "UTC"),
            Err(ScheduleFault::Never(_))
        ));
    }
}
