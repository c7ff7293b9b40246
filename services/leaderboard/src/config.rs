//! What this service is told at its start: a file, over it `BANYAN_LEADERBOARD__…` variables.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::Path,
};

use chassis::config::Faults;
use serde::{Deserialize, Serialize};

/// Backups are rarely kept for longer, and an operator has looked at what is odd by then.
const RETENTION_DAYS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);

/// The most that one badge can add; more is a slip of the keyboard.
const BONUS_MAX: i64 = 100_000;

/// Points that a badge adds to the boards of the answer that earned it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bonus {
    /// For badges that are not named.
    pub default: i64,
    /// By the badge's id: `"first-answer" = 50`.
    #[serde(flatten)]
    pub badges: BTreeMap<String, i64>,
}

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
    /// The monolith's database, to import from.
    pub legacy_database: Option<String>,
    /// What the keys of the people are sealed under whom events name: `NAME:DIGITS` or `file:PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal_keys: Option<String>,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
    /// What badges add to the boards; a change affects later badges only.
    pub bonus: Bonus,
    /// Clients that may watch boards at the same time on this replica; one more gets 503.
    pub max_streams: usize,
    /// For how many days it is kept what an answer did, once its saga has ended. Longer than the
    /// oldest backup of the log that would be restored.
    pub retention_days: NonZeroU32,
    /// How its own database is opened; not part of the file, for tests.
    #[serde(skip)]
    pub database_options: database::Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9005).into(),
            database: "sqlite:.banyan/leaderboard.db".to_owned(),
            log: "sqlite:.banyan/log.db".to_owned(),
            bus: None,
            jwks_url: "http://127.0.0.1:9001/.well-known/jwks.json".to_owned(),
            legacy_database: None,
            personal_keys: None,
            ops_token: None,
            bonus: Bonus::default(),
            max_streams: 1_000,
            retention_days: RETENTION_DAYS,
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

impl Bonus {
    /// What is wrong with the points, by badge.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let default = (&"default".to_owned(), &self.default);
        let all = self.badges.iter().chain([default]);
        all.filter(|(_, points)| !(0..=BONUS_MAX).contains(*points))
            .map(|(badge, points)| {
                format!("bonus.{badge}: {points} is not between 0 and {BONUS_MAX}")
            })
            .collect()
    }

    /// The points for a badge.
    #[must_use]
    pub fn of(&self, badge_id: &str) -> i64 {
        self.badges.get(badge_id).copied().unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_has_its_own_bonus_or_the_default() {
        let toml = "[bonus]\ndefault = 5\n\"first-answer\" = 50\n";
        let folder = testkit::temp_dir();
        let file = folder.path().join("leaderboard.toml");
        std::fs::write(&file, toml).unwrap();
        let config = Config::load(Some(&file)).unwrap();
        assert_eq!(config.bonus.of("first-answer"), 50);
        assert_eq!(config.bonus.of("streak-10"), 5);
        assert_eq!(Config::default().bonus.of("first-answer"), 0);
        assert_eq!(service::check(&config), Ok(()));
    }

    #[test]
    fn a_bonus_that_takes_points_or_dwarfs_all_others_is_a_fault() {
        let mut config = Config::default();
        config.bonus.default = -1;
        config.bonus.badges.insert("a".to_owned(), BONUS_MAX + 1);
        assert_eq!(service::check(&config).unwrap_err().0.len(), 2);
    }
}
