use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::config::{Faults, load};
use serde::{Deserialize, Serialize};

use crate::{MasterKeys, retention::Keeping};

/// Hours between a day and the next.
const DAY: u64 = 24;

/// The log process's configuration: a TOML or YAML file, over it `BANYAN_LOG__…`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where health, metrics and `/ops` are served.
    pub listen: SocketAddr,
    /// The log: `postgres://…` or `sqlite:path`.
    pub log: String,
    /// `nats://host:port` or `amqp://host:port`, several with commas; absent: nothing is forwarded.
    #[serde(alias = "nats", skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// Copies of the stream in a NATS cluster; RabbitMQ keeps one on each of its nodes.
    pub nats_replicas: usize,
    /// What people's keys are sealed under, the same as the services': `NAME:DIGITS` or `file:PATH`.
    /// Without it personal fields are shown sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal_keys: Option<String>,
    /// Opens `/ops`; required off loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_token: Option<String>,
    /// The archive that the maintenance service writes, where this process finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_dir: Option<PathBuf>,
    /// Events older than this leave the database once the archive has them, as `90d`; absent: all stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 9010).into(),
            log: "sqlite:.banyan/log.db".to_owned(),
            bus: None,
            nats_replicas: 1,
            personal_keys: None,
            ops_token: None,
            archive_dir: None,
            retention: None,
        }
    }
}

impl Config {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let config: Self = load("BANYAN_LOG__", file, Self::default())?;
        let mut faults: Vec<String> =
            chassis::ops::fault(config.listen, config.ops_token.as_deref())
                .into_iter()
                .collect();
        if !["postgres://", "postgresql://", "sqlite:"]
            .iter()
            .any(|s| config.log.starts_with(s))
        {
            faults.push("log: must start with postgres:// or sqlite:".to_owned());
        }
        let bus = config.bus.as_deref().map(bus::check);
        if let Some(Err(fault)) = bus {
            faults.push(format!("bus: {fault}"));
        }
        let keys = config.personal_keys.as_deref().map(MasterKeys::parse);
        if let Some(Err(fault)) = keys {
            faults.push(format!("personal_keys: {fault}"));
        }
        if !(1..=5).contains(&config.nats_replicas) {
            faults.push("nats_replicas: must be 1 to 5".to_owned());
        }
        if let Some(Err(fault)) = config.retention.as_deref().map(duration) {
            faults.push(format!("retention: {fault}"));
        }
        if config.retention.is_some() && config.archive_dir.is_none() {
            faults.push("archive_dir: must be given where `retention` is".to_owned());
        }
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Faults(faults))
        }
    }

    /// What leaves the database, if anything does.
    pub fn keeping(&self) -> Option<Keeping> {
        Some(Keeping {
            archive_dir: self.archive_dir.clone()?,
            keep: duration(self.retention.as_deref()?).ok()?,
        })
    }
}

/// How long events stay: a whole number of `s`, `m`, `h` or `d`, above zero.
///
/// # Errors
/// A text that says what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` must be a whole number with s, m, h or d, as `90d`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(seconds) if seconds > 0 && seconds <= i32::MAX.unsigned_abs().into() => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_a_number_and_a_unit() {
        let seconds = |text| duration(text).map(|time| time.as_secs()).ok();
        assert_eq!(seconds("90d"), Some(90 * 86_400));
        assert_eq!(seconds("36h"), Some(36 * 3_600));
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("1s"), Some(1));
        for wrong in [
            "",
            "90",
            "d",
            "0d",
            "-1d",
            "1.5d",
            "1w",
            "90 d",
            "99999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_retention_needs_an_archive() {
        let folder = testkit::temp_dir();
        let file = folder.path().join("log.toml");
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Config::load(Some(&file))
        };
        let faults = load("retention = \"soon\"").unwrap_err().0;
        assert_eq!(faults.len(), 2, "{faults:?}");
        let config = load("retention = \"2d\"\narchive_dir = \"archive\"").unwrap();
        let keeping = Keeping {
            archive_dir: "archive".into(),
            keep: Duration::from_secs(2 * 86_400),
        };
        assert_eq!(config.keeping(), Some(keeping));
        assert_eq!(load("archive_dir = \"archive\"").unwrap().keeping(), None);
    }
}
