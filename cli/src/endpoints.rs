//! Where a running system listens: written by `banyan up`, or told by the operator's own file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The services that have an `/ops`, by their names on the command line, with their ports.
pub const SERVICES: &[(&str, u16)] = &[
    ("legacy", 9000),
    ("auth", 9001),
    ("question", 9002),
    ("quiz", 9003),
    ("achievement", 9004),
    ("leaderboard", 9005),
    ("admin", 9006),
    ("maintenance", 9007),
    ("log", 9010),
];

/// The gateway's data port.
pub const GATEWAY_PORT: u16 = 8080;
/// The gateway's admin port.
pub const ADMIN_PORT: u16 = 8081;

/// Variables that go over the operator's file; tokens come best this way.
const VARIABLES: &str = "BANYAN_OPERATOR__";

/// Base URLs of a running system and the tokens that open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// The gateway's data port: what players use.
    #[serde(default = "gateway")]
    pub gateway: String,
    /// The gateway's admin port.
    #[serde(default = "admin")]
    pub admin: String,
    /// The token for the admin port, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<String>,
    /// The token for `/ops`, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops_token: Option<String>,
    /// Base URL of each service.
    #[serde(default = "services")]
    pub services: BTreeMap<String, String>,
    /// The process that serves all of them, when it is a `banyan up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn gateway() -> String {
    local(GATEWAY_PORT)
}

fn admin() -> String {
    local(ADMIN_PORT)
}

fn services() -> BTreeMap<String, String> {
    SERVICES
        .iter()
        .map(|(name, port)| ((*name).to_owned(), local(*port)))
        .collect()
}

impl Endpoints {
    /// The development defaults, each port raised by `offset`.
    pub fn with_offset(offset: u16) -> Self {
        Self {
            gateway: local(GATEWAY_PORT + offset),
            admin: local(ADMIN_PORT + offset),
            admin_token: None,
            ops_token: None,
            services: SERVICES
                .iter()
                .map(|(name, port)| ((*name).to_owned(), local(port + offset)))
                .collect(),
            pid: None,
        }
    }

    /// Finds the system to talk to: the file given by `--config`, over it `BANYAN_OPERATOR__…`
    /// variables; else what the `up` of
    /// `data_dir` wrote; else the development defaults.
    ///
    /// # Errors
    /// When a file is there but cannot be read.
    pub fn find(config: Option<&Path>, data_dir: &Path) -> anyhow::Result<Self> {
        if let Some(path) = config {
            // What the file does not name has its default from serde: a file's services are all of
            // them, so none is put beside them here.
            let nothing = BTreeMap::<String, String>::new();
            return Ok(chassis::config::load(VARIABLES, Some(path), nothing)?);
        }
        let path = Self::file(data_dir);
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .with_context(|| format!("{} is damaged; restart `banyan up`", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::with_offset(0)),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The base URL of `service`.
    ///
    /// # Errors
    /// When the operator's file does not name it.
    pub fn service(&self, service: &str) -> anyhow::Result<&str> {
        self.services
            .get(service)
            .map(String::as_str)
            .with_context(|| {
                let known: Vec<_> = self.services.keys().map(String::as_str).collect();
                format!(
                    "no endpoint for the service {service:?}; known: {}",
                    known.join(", ")
                )
            })
    }

    /// Writes the file that [`Endpoints::find`] reads, whole or not at all.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let path = Self::file(data_dir);
        let fresh = path.with_extension("toml.new");
        std::fs::write(&fresh, toml::to_string(self)?)
            .and_then(|()| std::fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {} (--data-dir)", path.display()))
    }

    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("endpoints.toml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_up_writes_the_verbs_find() {
        let folder = tempfile::tempdir().unwrap();
        let written = Endpoints {
            pid: Some(7),
            ..Endpoints::with_offset(100)
        };
        written.write(folder.path()).unwrap();
        assert_eq!(Endpoints::find(None, folder.path()).unwrap(), written);
        assert_eq!(written.service("quiz").unwrap(), "http://127.0.0.1:9103");
    }

    #[test]
    fn without_a_file_the_development_ports_are_meant() {
        let folder = tempfile::tempdir().unwrap();
        let found = Endpoints::find(None, folder.path()).unwrap();
        assert_eq!(found, Endpoints::with_offset(0));
        assert!(
            found
                .service("nonesuch")
                .unwrap_err()
                .to_string()
                .contains("quiz")
        );
    }

    #[test]
    fn an_operators_file_may_name_only_what_differs_and_nothing_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.toml");
        std::fs::write(&path, "admin = \"http://10.0.0.1:8081\"\n").unwrap();
        let found = Endpoints::find(Some(&path), folder.path()).unwrap();
        assert_eq!(found.admin, "http://10.0.0.1:8081");
        assert_eq!(found.gateway, gateway());
        std::fs::write(&path, "admim = \"x\"\n").unwrap();
        let error = Endpoints::find(Some(&path), folder.path()).unwrap_err();
        assert!(error.is::<chassis::config::Faults>(), "{error}");
    }
}
