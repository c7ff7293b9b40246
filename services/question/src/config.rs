//! What this service is told at its start: a file, over it `BANYAN_QUESTION__…` variables.

use std::{
    net::{Ipv4Addr, SocketAddr},
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
    /// The monolith's database, to import questions from.
    pub legacy_database: Option<String>,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9002).into(),
            database: "sqlite:.banyan/question.db".to_owned(),
            log: "sqlite:.banyan/log.db".to_owned(),
            bus: None,
            jwks_url: "http://127.0.0.1:9001/.well-known/jwks.json".to_owned(),
            legacy_database: None,
            ops_token: None,
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
