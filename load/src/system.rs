//! The system under load: started by us, or one that runs.
//!
//! Invariant: what we started ends with us, however we end; nothing else is ever stopped. Loopback
//! only, unless told.

mod distributed;
mod embedded;
pub mod routing;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use reqwest::Url;
use serde_json::Value;
use testkit::{Nats, Postgres, Process, TempDir};

use crate::{
    arguments::{Arguments, Form},
    process::Parts,
    site::Credentials,
};

/// Whom both forms are started with.
const ADMINISTRATOR: &str = "admin@node-learn.example";
/// A start on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at a starting system.
const LOOK: Duration = Duration::from_millis(50);
/// What the record says of our acts.
const REASON: &str = "load";

/// A running system.
pub struct System {
    /// What it is, for people.
    pub description: String,
    /// The gateway's data port.
    pub gateway: String,
    /// Who may curate, where we know.
    pub administrator: Option<Credentials>,
    /// Its processes and our own; only our own where it is not ours.
    pub parts: Parts,
    /// Where its data lies, by part.
    pub stores: Vec<(String, PathBuf)>,
    banyan: PathBuf,
    operator: Option<PathBuf>,
    is_ours: bool,
    _held: Held,
}

/// Ends what it holds when it is dropped: processes first, what they stand on after them.
#[derive(Default)]
struct Held {
    _processes: Vec<Process>,
    _postgres: Option<Postgres>,
    _nats: Option<Nats>,
    _folder: Option<TempDir>,
}

/// What a verb said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether it exited with 0.
    pub is_good: bool,
    /// What it printed.
    pub json: Value,
    /// What it complained of.
    pub complaint: String,
}

impl System {
    /// Starts one, or finds the one that is aimed at.
    ///
    /// # Errors
    /// When it cannot be started, or must not be aimed at.
    pub async fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let banyan = match &arguments.banyan {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("banyan"),
        };
        if let Some(target) = &arguments.target {
            return Self::aim(target, arguments, banyan);
        }
        if !banyan.is_file() {
            bail!("there is no {} (--banyan)", banyan.display());
        }
        match arguments.form {
            Form::Embedded => embedded::start(banyan).await,
            Form::Distributed => distributed::start(banyan).await,
        }
    }

    fn aim(target: &str, arguments: &Arguments, banyan: PathBuf) -> anyhow::Result<Self> {
        let url: Url = target.parse().context("--target is no URL")?;
        if !is_loopback(&url) && !arguments.not_loopback {
            bail!("{target} is not on this machine; --not-loopback if you may put it under load");
        }
        Ok(Self {
            description: format!("a running system at {target}"),
            gateway: target.to_owned(),
            administrator: None,
            parts: Parts(vec![ourselves()]),
            stores: Vec::new(),
            banyan,
            operator: arguments.operator.clone(),
            is_ours: false,
            _held: Held::default(),
        })
    }

    /// Whether we started it.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Whether verbs can be asked.
    pub fn has_operator(&self) -> bool {
        self.operator.is_some()
    }

    /// Runs a verb of `banyan`.
    ///
    /// # Errors
    /// When it cannot be run, or prints no JSON.
    pub async fn ask(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let operator = self.operator.as_ref().context("no --operator is given")?;
        let output = tokio::process::Command::new(&self.banyan)
            .args(["--json", "--actor", REASON, "--config"])
            .arg(operator)
            .args(arguments)
            .output()
            .await
            .with_context(|| format!("cannot run {} (--banyan)", self.banyan.display()))?;
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let json = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("banyan {}: {complaint}", arguments.join(" ")))?;
        Ok(Said {
            is_good: output.status.success(),
            json,
            complaint,
        })
    }

    /// Runs a verb that must succeed.
    ///
    /// # Errors
    /// Also when it does not.
    pub async fn tell(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let said = self.ask(arguments).await?;
        if !said.is_good {
            bail!("banyan {}: {}", arguments.join(" "), said.complaint);
        }
        Ok(said.json)
    }

    /// Where a service listens: `http://ADDRESS:PORT`.
    ///
    /// # Errors
    /// When nobody said so.
    pub fn service(&self, name: &str) -> anyhow::Result<String> {
        let operator = self.operator.as_ref().context("no --operator is given")?;
        let text = std::fs::read_to_string(operator)?;
        let table: toml::Table = toml::from_str(&text)?;
        let urls = table.get("services").and_then(|all| all.get(name));
        // One of several replicas serves as well as another.
        let first = |urls: &toml::Value| match urls {
            toml::Value::Array(several) => several.first()?.as_str().map(ToOwned::to_owned),
            one => one.as_str().map(ToOwned::to_owned),
        };
        let missing = || format!("{} names no service {name}", operator.display());
        urls.and_then(first).with_context(missing)
    }

    /// Copies what the new side lacks, then moves traffic: `percent` of what players play with, and
    /// all of the rest.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn move_over(&self, percent: f64) -> anyhow::Result<()> {
        self.tell(&["sync", "backfill"]).await?;
        let flags = self.tell(&["flags", "list"]).await?;
        let flags = flags["items"].as_array().cloned().unwrap_or_default();
        let ids = flags.iter().filter_map(|flag| flag["id"].as_str());
        for id in ids {
            let percent = if id == routing::QUIZ { percent } else { 100.0 };
            let percent = format!("{percent}");
            self.tell(&[
                "flags",
                "set",
                id,
                "--percent",
                &percent,
                "--reason",
                REASON,
            ])
            .await?;
        }
        Ok(())
    }

    /// The log's newest position: how many events there are; none where nobody can be asked.
    pub async fn events(&self) -> Option<i64> {
        let said = self.tell(&["consumers", "list"]).await.ok()?;
        let items = said["items"].as_array()?;
        // Each consumer says how far it is and how far behind.
        let heads = items.iter().filter_map(|item| {
            let position = item["position"].as_i64()?;
            Some(position + item["lag"].as_i64()?)
        });
        heads.max()
    }

    /// Waits until all consumers have read the log, or the time is up; whether they have.
    pub async fn quiet(&self, within: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < within {
            let Ok(said) = self.tell(&["consumers", "list"]).await else {
                return false;
            };
            let items = said["items"].as_array().cloned().unwrap_or_default();
            let lag = items.iter().filter_map(|item| item["lag"].as_i64()).max();
            if lag.unwrap_or_default() == 0 {
                return true;
            }
            tokio::time::sleep(LOOK * 4).await;
        }
        false
    }

    /// Bytes on disk, by part.
    pub fn stored(&self) -> Vec<(String, u64)> {
        let size = |(name, path): &(String, PathBuf)| (name.clone(), bytes(path));
        self.stores.iter().map(size).collect()
    }
}

/// This program, as a part.
fn ourselves() -> (u32, String) {
    (std::process::id(), "load generator".to_owned())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// All bytes in a file or below a folder; what goes away meanwhile counts nothing.
fn bytes(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes(&entry.path())).sum()
}

/// Waits until the URL answers with a success.
///
/// # Errors
/// When the process ends or the time is up; with the last that it wrote.
async fn ready(process: &mut Process, name: &str, url: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let answer = reqwest::get(url).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        let is_over = !process.is_running();
        if is_over || begun.elapsed() > READY_WITHIN {
            let output = process.output();
            let last = output[output.len().saturating_sub(12)..].join("\n");
            let how = if is_over { "ended" } else { "is not ready" };
            bail!("{name} {how}:\n{last}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    async fn opened(line: &str) -> anyhow::Result<System> {
        let words = std::iter::once("load").chain(line.split_whitespace());
        System::open(&Arguments::try_parse_from(words)?).await
    }

    #[tokio::test]
    async fn only_this_machine_is_aimed_at_unless_told() {
        for good in [
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:80",
        ] {
            assert!(opened(&format!("--target {good}")).await.is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.1:8080",
            "https://quiz.example.org",
            "http://127.0.0.1.example",
        ] {
            let error = opened(&format!("--target {bad}")).await.err();
            let error = error.unwrap().to_string();
            assert!(error.contains("--not-loopback"), "{bad}: {error}");
            let allowed = opened(&format!("--target {bad} --not-loopback")).await;
            assert!(allowed.is_ok(), "{bad}");
        }
    }

    #[test]
    fn a_folder_is_as_large_as_what_is_in_it() {
        let folder = testkit::temp_dir();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("in/a"), [0; 100]).unwrap();
        std::fs::write(folder.path().join("b"), [0; 20]).unwrap();
        assert_eq!(bytes(folder.path()), 120);
        assert_eq!(bytes(&folder.path().join("nothing")), 0);
    }
}
