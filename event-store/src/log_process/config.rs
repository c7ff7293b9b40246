use std::{net::SocketAddr, path::Path};

use chassis::config::{Faults, load};
use serde::{Deserialize, Serialize};

use crate::MasterKeys;

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
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(Faults(faults))
        }
    }
}
