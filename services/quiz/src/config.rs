//! What this service is told at its start: a file, over it `BANYAN_QUIZ__…` variables.

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
    /// What the keys of the people are sealed under whom events name: `NAME:DIGITS` or `file:PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal_keys: Option<String>,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
    /// How long badges and boards may take to follow an answer, before it is taken back.
    pub answer_deadline_ms: u64,
    /// How long an answer waits for the same player's answer before it, which is still undecided.
    pub predecessor_wait_ms: u64,
    /// For how many days a saga is kept, once it has completed or was compensated.
    pub retention_days: NonZeroU32,
    /// How its own database is opened; not part of the file, for tests.
    #[serde(skip)]
    pub database_options: database::Options,
}

/// An operator has looked at what is odd by then.
const RETENTION_DAYS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9003).into(),
            database: "sqlite:.banyan/quiz.db".to_owned(),
            log: "sqlite:.banyan/log.db".to_owned(),
            bus: None,
            jwks_url: "http://127.0.0.1:9001/.well-known/jwks.json".to_owned(),
            legacy_database: None,
            personal_keys: None,
            ops_token: None,
            answer_deadline_ms: 5_000,
            // A second more than an answer takes at most. With the longest `Prefer: wait` after
            // it, it stays below the 30 s that a handler may take.
            predecessor_wait_ms: 6_000,
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
