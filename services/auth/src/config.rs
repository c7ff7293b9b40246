//! What this service is told at its start: a file, over it `BANYAN_AUTH__…` variables.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use chassis::config::Faults;
use contracts::http::Register;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    duties::GUEST_LIFETIME_MIN,
    keys,
    limits::{self, Network},
    mail, oidc,
};

/// Seconds: as long as a refresh token, so that nobody goes who could come back.
const GUEST_LIFETIME: u64 = 30 * 24 * 60 * 60;

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
    /// The keys that sign access tokens; made when missing. Legacy uses the same file.
    pub signing_key: PathBuf,
    /// How long a new key is published before it signs.
    pub key_lead_ms: u64,
    /// Where browsers reach the system: providers send them back there.
    pub public_url: String,
    /// OpenID Connect providers by name, such as `google`.
    pub oidc: BTreeMap<String, oidc::Settings>,
    /// The administrator that must exist.
    pub administrator: Option<Administrator>,
    /// The monolith's database, to import users from.
    pub legacy_database: Option<String>,
    /// What the keys of the people are sealed under whom events name: `NAME:DIGITS` or `file:PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal_keys: Option<String>,
    /// Required off loopback; at least 16 characters.
    pub ops_token: Option<String>,
    /// The mail server; without one, mails wait in the database.
    pub mail: Option<mail::Settings>,
    /// How often somebody may be wrong.
    pub limits: limits::Settings,
    /// Peers whose `X-Forwarded-For` names the client: the gateways. Addresses and networks.
    pub trusted_proxies: Vec<Network>,
    /// A guest who was not here for this long is deleted when maintenance runs; an hour at least.
    #[serde(deserialize_with = "guest_lifetime")]
    pub guest_lifetime_seconds: u64,
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
            bus: None,
            signing_key: ".banyan/keys/signing.pem".into(),
            // Minutes: it always fits.
            key_lead_ms: u64::try_from(keys::LEAD.as_millis()).unwrap_or(u64::MAX),
            public_url: "http://127.0.0.1:8080".to_owned(),
            oidc: BTreeMap::new(),
            administrator: None,
            legacy_database: None,
            personal_keys: None,
            ops_token: None,
            mail: None,
            limits: limits::Settings::default(),
            trusted_proxies: Network::loopback(),
            guest_lifetime_seconds: GUEST_LIFETIME,
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

fn guest_lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if seconds < GUEST_LIFETIME_MIN.as_secs() {
        let fault = format!("must be at least {}", GUEST_LIFETIME_MIN.as_secs());
        return Err(D::Error::custom(fault));
    }
    Ok(seconds)
}

fn administrators_name() -> String {
    "Administrator".to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Config, mail};

    #[test]
    fn the_faults_of_mails_and_of_providers_are_told_together() {
        let mut config = Config {
            public_url: "nowhere".to_owned(),
            ..Config::default()
        };
        config.mail = Some(mail::Settings {
            smtp: "http://mail.example.org".to_owned(),
            from: "nobody".to_owned(),
            username: None,
            password: None,
            reset_link: Some("https://example.org/".to_owned()),
            retry_seconds: 1,
        });
        let faults = service::check(&config).unwrap_err();
        for key in ["mail.smtp: ", "mail.from: ", "mail.reset_link: "] {
            let is_told = |fault: &String| fault.starts_with(key);
            assert!(faults.0.iter().any(is_told), "{key}{faults}");
        }
        let mails = faults.0.len();
        config.mail = None;
        let others = service::check(&config)
            .err()
            .map_or(0, |faults| faults.0.len());
        assert_eq!(mails, others + 3, "{faults}");
    }

    #[test]
    fn a_lifetime_of_guests_below_an_hour_is_a_fault() {
        let mut config = serde_json::to_value(Config::default()).unwrap();
        config["guest_lifetime_seconds"] = 3_599.into();
        let fault = serde_json::from_value::<Config>(config.clone()).map(|_| ());
        assert!(fault.unwrap_err().to_string().contains("at least 3600"));
        config["guest_lifetime_seconds"] = 3_600.into();
        assert!(serde_json::from_value::<Config>(config).is_ok());
    }
}
