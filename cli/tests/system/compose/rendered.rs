//! docker-compose.yml as `docker-compose config` prints it, with everything filled in.

use std::{collections::BTreeMap, process::Command, time::Duration};

use figment::{
    Figment,
    providers::{Format, Yaml},
};
use serde::Deserialize;

use super::root;

#[derive(Debug, Deserialize)]
pub(super) struct Compose {
    pub(super) services: BTreeMap<String, Service>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(super) networks: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Service {
    pub(super) image: String,
    #[serde(default)]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    pub(super) ports: Vec<String>,
    #[serde(default)]
    pub(super) depends_on: BTreeMap<String, Dependency>,
    pub(super) healthcheck: Option<Healthcheck>,
    #[serde(default)]
    pub(super) profiles: Vec<String>,
    pub(super) restart: Option<String>,
    pub(super) stop_grace_period: Option<String>,
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) cap_drop: Vec<String>,
    #[serde(default)]
    pub(super) networks: BTreeMap<String, Option<serde_json::Value>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) condition: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Healthcheck {
    pub(super) test: Vec<String>,
}

/// What a container sees at a path.
pub(super) struct Mount<'a> {
    /// A path of this machine, or a volume's name.
    pub(super) source: &'a str,
    pub(super) target: &'a str,
}

impl Mount<'_> {
    pub(super) fn is_volume(&self) -> bool {
        !self.source.starts_with('/')
    }
}

impl Service {
    /// Whether it runs one of this repository's programs.
    pub(super) fn is_ours(&self) -> bool {
        self.image.starts_with("banyan:")
    }

    /// Whether it runs for as long as the system does.
    pub(super) fn is_part(&self) -> bool {
        self.is_ours() && self.environment.contains_key("BANYAN_PART")
    }

    pub(super) fn mounts(&self) -> Vec<Mount<'_>> {
        let parts = |text: &'_ str| -> Option<(usize, usize)> {
            let first = text.find(':')?;
            let last = text.rfind(':')?;
            Some((first, last))
        };
        self.volumes
            .iter()
            .map(|text| {
                let (first, last) = parts(text).expect("SOURCE:TARGET:MODE");
                Mount {
                    source: &text[..first],
                    target: &text[first + 1..last],
                }
            })
            .collect()
    }

    pub(super) fn grace(&self) -> Duration {
        let text = self.stop_grace_period.as_deref().expect("a grace period");
        let seconds = match text.split_once('m') {
            Some((minutes, rest)) => {
                let seconds = rest.trim_end_matches('s').parse().unwrap_or(0);
                minutes.parse::<u64>().expect("minutes") * 60 + seconds
            }
            None => text.trim_end_matches('s').parse().expect("seconds"),
        };
        Duration::from_secs(seconds)
    }
}

impl Compose {
    /// Has docker-compose read the file with these variables.
    pub(super) fn render(variables: &str) -> Self {
        let text = try_render(variables).unwrap_or_else(|error| panic!("{error}"));
        Figment::from(Yaml::string(&text))
            .extract()
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The parts of Banyan, by name.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, &Service)> {
        self.services
            .iter()
            .filter(|(_, service)| service.is_part())
            .map(|(name, service)| (name.as_str(), service))
    }
}

/// What `docker-compose config` prints, or why it refuses.
pub(super) fn try_render(variables: &str) -> Result<String, String> {
    let folder = testkit::temp_dir();
    let file = folder.path().join("variables");
    std::fs::write(&file, variables).expect("a writable folder");
    // A clean environment: what this machine has set must not fill a gap of the file.
    let output = Command::new("docker-compose")
        .args(["--ansi", "never", "--env-file"])
        .arg(&file)
        .arg("config")
        .current_dir(root())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("docker-compose is installed: `cargo xtask test` does that");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}
