//! What this service is told at its start: a file, over it `BANYAN_ACHIEVEMENT__…` variables.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::Path,
};

use chassis::config::Faults;
use serde::{Deserialize, Serialize};

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
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
    /// For how many days it is kept what an answer did, once its saga has ended. Longer than the
    /// oldest backup of the log that would be restored.
    pub retention_days: NonZeroU32,
    /// How its own database is opened; not part of the file, for tests.
    #[serde(skip)]
    pub database_options: database::Options,
}

/// Backups are rarely kept for longer, and an operator has looked at what is odd by then.
const RETENTION_DAYS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9004).into(),
            database: "sqlite:.banyan/achievement.db".to_owned(),
            log: "sqlite:.banyan/log.db".to_owned(),
            bus: None,
            jwks_url: "http://127.0.0.1:9001/.well-known/jwks.json".to_owned(),
            legacy_database: None,
            ops_token: None,
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
