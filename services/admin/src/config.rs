//! What this service is told at its start: a file, over it `BANYAN_ADMIN__…` variables.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use chassis::config::Faults;
use serde::{Deserialize, Serialize};

/// The shortest interval in which the monolith is asked: it has users of its own.
const FOLLOW_MIN: Duration = Duration::from_millis(50);

/// The longest: an hour behind is no following any more.
const FOLLOW_MAX: Duration = Duration::from_secs(3600);

/// The configuration. Not printable: it holds secrets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it serves.
    pub listen: SocketAddr,
    /// Its own database: `postgres://…` or `sqlite:path`.
    pub database: String,
    /// The log's database; not used where the log is shared in one process.
    pub log: String,
    /// The bus, where there is one: `nats://…` or `amqp://…`; likewise.
    #[serde(alias = "nats", skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// Where the keys are that access tokens are verified with.
    pub jwks_url: String,
    /// The monolith's database, to import questions from, and to follow.
    pub legacy_database: Option<String>,
    /// How often the monolith's edits are looked for, such as `1s`; absent: not at all.
    pub legacy_follow: Option<Interval>,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
    /// How its own database is opened; not part of the file, for tests.
    #[serde(skip)]
    pub database_options: database::Options,
}

/// A time between two looks: `500ms`, `1s` or `2m` in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval(Duration);

impl Interval {
    /// The interval as a duration.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Interval {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.trim_end_matches(|character: char| character.is_ascii_lowercase());
        let unit = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            _ => 0,
        };
        let interval = digits
            .parse::<u64>()
            .ok()
            .map(|number| Duration::from_millis(number.saturating_mul(unit)))
            .filter(|interval| (FOLLOW_MIN..=FOLLOW_MAX).contains(interval));
        interval.map(Self).ok_or_else(|| {
            format!("{text:?} is no interval from 50ms to 60m, such as `500ms`, `1s` or `2m`")
        })
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        format!("{}ms", interval.0.as_millis())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9006).into(),
            database: "sqlite:.banyan/admin.db".to_owned(),
            log: "sqlite:.banyan/log.db".to_owned(),
            bus: None,
            jwks_url: "http://127.0.0.1:9001/.well-known/jwks.json".to_owned(),
            legacy_database: None,
            legacy_follow: None,
            ops_token: None,
            database_options: database::Options::default(),
        }
    }
}

impl Config {
    /// Reads the file and the variables.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        service::load(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_with_a_unit_within_bounds() {
        let read = |text: &str| Interval::try_from(text.to_owned());
        assert_eq!(
            read("1s").map(Interval::duration),
            Ok(Duration::from_secs(1))
        );
        assert_eq!(read("500ms"), read(&String::from(read("500ms").unwrap())));
        assert_eq!(
            read("2m").map(Interval::duration),
            Ok(Duration::from_secs(120))
        );
        for wrong in ["", "1", "s", "0s", "1ms", "2h", "61m", "-1s", "1 s", "1.5s"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
