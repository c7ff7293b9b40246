//! What this service is told at its start: a file, over it `BANYAN_AUTH__…` variables.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use chassis::config::{self, Faults};
use contracts::http::Register;
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
    /// NATS, where there is one; likewise.
    pub nats: Option<String>,
    /// The key that signs access tokens; made when missing. Legacy uses the same file.
    pub signing_key: PathBuf,
    /// The administrator that must exist.
    pub administrator: Option<Administrator>,
    /// The monolith's database, to import users from.
    pub legacy_database: Option<String>,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
}

/// The administrator that an installation starts with.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administrator {
    /// Compared without case.
    pub email: String,
    /// Only for the first start; changing it here later changes nothing.
    pub password: String,
    /// What others see.
    #[serde(default = "administrators_name")]
    pub display_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9001).into(),
            database: "sqlite:.banyan/auth.db".to_owned(),
            log: "sqlite:.banyan/log.db".to_owned(),
            nats: None,
            signing_key: ".banyan/keys/signing.pem".into(),
            administrator: None,
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
        config::load("BANYAN_AUTH__", file, Self::default())
    }
}

impl Administrator {
    /// The same, as somebody who registers.
    pub fn registration(&self) -> Register {
        Register {
            email: self.email.clone(),
            password: self.password.clone(),
            display_name: self.display_name.clone(),
        }
    }
}

fn administrators_name() -> String {
    "Administrator".to_owned()
}
