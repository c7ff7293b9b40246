//! What the monolith is told at its start: a file, over it `BANYAN_LEGACY__…` variables.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use auth::{
    config::Administrator,
    limits::{self, Network},
    mail,
};
use chassis::{
    config::{self, Faults},
    ops,
};
use serde::{Deserialize, Serialize};

/// The configuration. Not printable: it holds secrets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it serves.
    pub listen: SocketAddr,
    /// Its one database: `postgres://…` or `sqlite:path`.
    pub database: String,
    /// The key that signs access tokens; made when missing. The auth service uses the same file.
    pub signing_key: PathBuf,
    /// The administrator that must exist.
    pub administrator: Option<Administrator>,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
    /// The mail server; without one, mails wait in the database.
    pub mail: Option<mail::Settings>,
    /// How often somebody may be wrong.
    pub limits: limits::Settings,
    /// Peers whose `X-Forwarded-For` names the client: the gateways. Addresses and networks.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9000).into(),
            database: "sqlite:.banyan/legacy.db".to_owned(),
            signing_key: ".banyan/keys/signing.pem".into(),
            administrator: None,
            ops_token: None,
            mail: None,
            limits: limits::Settings::default(),
            trusted_proxies: Network::loopback(),
        }
    }
}

impl Config {
    /// Reads the file and the variables.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        config::load_checked("BANYAN_LEGACY__", file, Self::default(), Self::faults)
    }

    /// What is wrong with the values, each with its key.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.mail.as_ref().map(mail::faults).unwrap_or_default();
        faults.extend(config::database_fault("database", &self.database));
        faults.extend(ops::fault(self.listen, self.ops_token.as_deref()));
        faults
    }
}
