//! What a job may be told.

use contracts::http::StartMaintenance;
use database::Timestamp;
use jiff::{civil::Date, tz::TimeZone};
use serde_json::{Map, Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::job::{DAILY_REPORT, GUEST_CLEANUP, STATS_RESET};

/// Characters of a reason at most: a line in a table.
const REASON_MAX: usize = 200;

/// A hundred years: nobody is older here.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 60 * 60;

/// An hour: who was here within it may be playing.
const SECONDS_MIN: u64 = 60 * 60;

/// The reason when nobody gave one.
const REASON_DEFAULT: &str = "maintenance";

/// A UTC day.
pub type Day = Date;

/// What is wrong with what a job is told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} {text}")]
pub struct Fault {
    /// Where.
    pub field: String,
    /// What.
    pub text: &'static str,
}

/// What a run is told, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Orders {
    /// For the job.
    pub parameters: Value,
    /// For the record.
    pub reason: Option<String>,
}

/// Checks what `job` is told.
///
/// # Errors
/// The first [`Fault`].
pub fn orders(job: &str, told: StartMaintenance) -> Result<Orders, Fault> {
    if let Some(reason) = &told.reason {
        check_reason("reason", reason)?;
    }
    for (name, value) in &told.parameters {
        let field = format!("parameters.{name}");
        if !is_text(name) {
            return Err(fault("parameters", "has a name with a control character"));
        }
        check_text(&field, value)?;
    }
    let parameters = match job {
        STATS_RESET => stats_reset(&told)?,
        DAILY_REPORT => daily_report(told.parameters)?,
        GUEST_CLEANUP => guest_cleanup(told.parameters)?,
        _ => {
            only(&told.parameters, &[])?;
            Value::Object(told.parameters)
        }
    };
    Ok(Orders {
        parameters,
        reason: told.reason,
    })
}

/// Refuses a report on a UTC day that has not begun.
///
/// # Errors
/// [`Fault`], naming the field.
pub fn check_day(orders: &Orders, now: Timestamp) -> Result<(), Fault> {
    let day = orders.parameters["day"].as_str().and_then(day_of);
    match day {
        Some(day) if day > day_at(now) => Err(fault("parameters.day", "has not begun yet")),
        _ => Ok(()),
    }
}

fn stats_reset(told: &StartMaintenance) -> Result<Value, Fault> {
    let known = ["userId", "reason"];
    only(&told.parameters, &known)?;
    let user_id = told.parameters.get("userId").and_then(Value::as_str);
    let user_id = user_id
        .and_then(|text| Uuid::try_parse(text).ok())
        .ok_or_else(|| fault("parameters.userId", "must be the id of a user"))?;
    let reason = match told.parameters.get("reason") {
        None => told.reason.as_deref().unwrap_or(REASON_DEFAULT),
        Some(Value::String(reason)) => {
            check_reason("parameters.reason", reason)?;
            reason
        }
        Some(_) => return Err(fault("parameters.reason", "must be a text")),
    };
    Ok(json!({ "userId": user_id, "reason": reason }))
}

fn daily_report(parameters: Map<String, Value>) -> Result<Value, Fault> {
    only(&parameters, &["day"])?;
    if let Some(day) = parameters.get("day") {
        let day = day.as_str().and_then(day_of);
        day.ok_or_else(|| fault("parameters.day", "must be a day such as 2026-03-29"))?;
    }
    Ok(Value::Object(parameters))
}

fn guest_cleanup(parameters: Map<String, Value>) -> Result<Value, Fault> {
    only(&parameters, &["olderThanSeconds"])?;
    if let Some(seconds) = parameters.get("olderThanSeconds") {
        let seconds = seconds.as_u64();
        let seconds = seconds.filter(|seconds| (SECONDS_MIN..=SECONDS_MAX).contains(seconds));
        seconds.ok_or_else(|| {
            let text = "must be a number of seconds, from an hour (3600) to a hundred years";
            fault("parameters.olderThanSeconds", text)
        })?;
    }
    Ok(Value::Object(parameters))
}

/// The day that `text` names, in the one form `2026-03-29`.
pub fn day_of(text: &str) -> Option<Day> {
    let day: Day = text.parse().ok()?;
    (day.to_string() == text && day.year() > 0).then_some(day)
}

/// The UTC day of an instant.
pub fn day_at(at: Timestamp) -> Day {
    let instant = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
    instant.to_zoned(TimeZone::UTC).date()
}

/// When a UTC day begins.
pub fn midnight(day: Day) -> Timestamp {
    let zoned = day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    Timestamp::from_micros(zoned.unwrap_or_default().as_microsecond())
}

fn only(parameters: &Map<String, Value>, known: &[&str]) -> Result<(), Fault> {
    match parameters
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        Some(name) => Err(fault(
            &format!("parameters.{name}"),
            "is no parameter of this job",
        )),
        None => Ok(()),
    }
}

fn check_reason(field: &str, reason: &str) -> Result<(), Fault> {
    if reason.chars().count() > REASON_MAX {
        return Err(fault(field, "must have at most 200 characters"));
    }
    if !is_text(reason) {
        return Err(fault(field, "must not have control characters"));
    }
    Ok(())
}

/// Refuses control characters at every depth: databases and terminals take harm from them.
///
/// # Errors
/// [`Fault`], naming the field.
pub fn check_text(field: &str, value: &Value) -> Result<(), Fault> {
    match value {
        Value::String(text) if !is_text(text) => {
            Err(fault(field, "must not have control characters"))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_text(field, item)),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            if !is_text(name) {
                return Err(fault(field, "has a name with a control character"));
            }
            check_text(&format!("{field}.{name}"), value)
        }),
        _ => Ok(()),
    }
}

fn is_text(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn fault(field: &str, text: &'static str) -> Fault {
    Fault {
        field: field.to_owned(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(parameters: &Value, reason: Option<&str>) -> StartMaintenance {
        StartMaintenance {
            parameters: parameters.as_object().cloned().unwrap_or_default(),
            reason: reason.map(ToOwned::to_owned),
        }
    }

    fn field(job: &str, parameters: &Value) -> Option<String> {
        orders(job, told(parameters, None))
            .err()
            .map(|fault| fault.field)
    }

    #[test]
    fn a_reset_needs_a_user_and_keeps_the_reason() {
        let user = Uuid::nil();
        let checked = orders(
            STATS_RESET,
            told(&json!({ "userId": user }), Some("cheating")),
        );
        assert_eq!(
            checked.unwrap().parameters,
            json!({ "userId": user, "reason": "cheating" })
        );
        let missing = Some("parameters.userId".to_owned());
        assert_eq!(field(STATS_RESET, &json!({})), missing);
        assert_eq!(field(STATS_RESET, &json!({ "userId": "me" })), missing);
        assert_eq!(
            field(STATS_RESET, &json!({ "userId": user, "all": true })),
            Some("parameters.all".to_owned())
        );
        assert_eq!(
            field(STATS_RESET, &json!({ "userId": user, "reason": 7 })),
            Some("parameters.reason".to_owned())
        );
    }

    #[test]
    fn a_report_may_be_told_its_day() {
        assert_eq!(field(DAILY_REPORT, &json!({})), None);
        assert_eq!(field(DAILY_REPORT, &json!({ "day": "2026-03-29" })), None);
        for day in [
            json!("2026-3-29"),
            json!("2026-02-30"),
            json!("yesterday"),
            json!(7),
        ] {
            assert_eq!(
                field(DAILY_REPORT, &json!({ "day": day })),
                Some("parameters.day".to_owned())
            );
        }
    }

    #[test]
    fn a_day_that_has_not_begun_has_no_report() {
        let now = midnight(day_of("2026-03-29").unwrap());
        for (day, is_fine) in [("2026-03-29", true), ("2026-03-30", false)] {
            let checked = orders(DAILY_REPORT, told(&json!({ "day": day }), None)).unwrap();
            assert_eq!(check_day(&checked, now).is_ok(), is_fine, "{day}");
        }
        let other = orders("health", told(&json!({}), None)).unwrap();
        assert_eq!(check_day(&other, now), Ok(()));
    }

    #[test]
    fn a_job_is_told_nothing_that_it_does_not_know() {
        let days = json!({ "olderThanDays": 1 });
        let unknown = Some("parameters.olderThanDays".to_owned());
        assert_eq!(field("health", &days), unknown);
        assert_eq!(field(GUEST_CLEANUP, &days), unknown);
        assert_eq!(
            field(GUEST_CLEANUP, &json!({ "olderThanSeconds": 3600 })),
            None
        );
        for seconds in [
            json!(-1),
            json!(0),
            json!(3599),
            json!("3600"),
            json!(1.5),
            json!(u64::MAX),
            json!(null),
        ] {
            assert_eq!(
                field(GUEST_CLEANUP, &json!({ "olderThanSeconds": seconds })),
                Some("parameters.olderThanSeconds".to_owned())
            );
        }
    }

    #[test]
    fn control_characters_are_refused_at_every_depth() {
        assert_eq!(
            field("health", &json!({ "a": { "b": ["x", "\u{0}"] } })),
            Some("parameters.a.b".to_owned())
        );
        assert_eq!(
            field("health", &json!({ "a\u{0}": 1 })),
            Some("parameters".to_owned())
        );
        let reason = orders("health", told(&json!({}), Some("a\u{7}")));
        assert_eq!(reason.unwrap_err().field, "reason");
        let reason = orders("health", told(&json!({}), Some(&"ä".repeat(201))));
        assert_eq!(reason.unwrap_err().field, "reason");
        assert!(orders("health", told(&json!({}), Some(&"ä".repeat(200)))).is_ok());
    }
}
