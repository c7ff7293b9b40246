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
    /// Where each service is.
    #[serde(default = "services")]
    pub services: BTreeMap<String, Replicas>,
    /// The process that serves all of them, when it is a `banyan up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// Base URLs of one service's replicas, at least one. In the file it is a text where there is one, or
/// where something in between spreads requests over all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct Replicas(Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a URL, or a list of the replicas' URLs"
)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Replicas {
    /// A service with one process.
    fn one(url: String) -> Self {
        Self(vec![url])
    }

    /// Where the first is.
    pub fn first(&self) -> &str {
        &self.0[0]
    }

    /// Where all are.
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<OneOrMany> for Replicas {
    type Error = &'static str;

    fn try_from(given: OneOrMany) -> Result<Self, Self::Error> {
        match given {
            OneOrMany::One(url) => Ok(Self::one(url)),
            OneOrMany::Many(urls) if urls.is_empty() => Err("a service needs at least one URL"),
            OneOrMany::Many(urls) => Ok(Self(urls)),
        }
    }
}

impl From<Replicas> for OneOrMany {
    fn from(Replicas(mut urls): Replicas) -> Self {
        if urls.len() == 1 {
            Self::One(urls.swap_remove(0))
        } else {
            Self::Many(urls)
        }
    }
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

fn services() -> BTreeMap<String, Replicas> {
    services_above(0)
}

/// Every service on its development port, raised by `offset`.
fn services_above(offset: u16) -> BTreeMap<String, Replicas> {
    let at = |port: u16| Replicas::one(local(port + offset));
    SERVICES
        .iter()
        .map(|(name, port)| ((*name).to_owned(), at(*port)))
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
            services: services_above(offset),
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
            let nothing = BTreeMap::<String, Replicas>::new();
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

    /// Where `service` is.
    ///
    /// # Errors
    /// When the operator's file does not name it.
    pub fn service(&self, service: &str) -> anyhow::Result<&Replicas> {
        self.services.get(service).with_context(|| {
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
        assert_eq!(
            written.service("quiz").unwrap().first(),
            "http://127.0.0.1:9103"
        );
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
        assert_eq!(found.services, services());
        std::fs::write(&path, "admim = \"x\"\n").unwrap();
        let error = Endpoints::find(Some(&path), folder.path()).unwrap_err();
        assert!(error.is::<chassis::config::Faults>(), "{error}");
    }
    #[test]
    fn a_service_has_one_url_or_those_of_its_replicas_and_never_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Endpoints::find(Some(&path), folder.path())
        };
        let text = "[services]\nlog = \"http://l\"\nquiz = [\"http://a\", \"http://b\"]\n";
        let found = read(text).unwrap();
        assert_eq!(found.service("log").unwrap().all(), ["http://l"]);
        assert_eq!(
            found.service("quiz").unwrap().all(),
            ["http://a", "http://b"]
        );
        found.write(folder.path()).unwrap();
        assert_eq!(Endpoints::find(None, folder.path()).unwrap(), found);
        for nobody in ["[]", "7"] {
            let error = read(&format!("[services]\nquiz = {nobody}\n")).unwrap_err();
            assert!(error.to_string().contains("services.quiz"), "{error}");
            assert!(error.to_string().contains("URL"), "{error}");
        }
    }
}
