//! One process, and the proxies in front of it and behind it.

use std::{
    fs::OpenOptions,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use testkit::{
    Nats, Postgres, Process,
    proxy::{FaultProxy, Mode},
};
use tokio::time::sleep;

use super::local;
use crate::plan::{How, Link};

/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(100);

/// Before what ended by itself is started again.
const BEFORE_RESTART: Duration = Duration::from_millis(500);

/// The ways from and to a part.
pub(super) struct Links {
    /// Where the part itself listens, and the gateway's operators.
    pub(super) port: u16,
    pub(super) admin: u16,
    front: FaultProxy,
    pub(super) database: FaultProxy,
    pub(super) log: FaultProxy,
    pub(super) bus: Vec<FaultProxy>,
}

/// How a process ended without having been killed.
#[derive(Clone, Debug)]
pub struct End {
    /// What it was, how it ended, and the last that it said.
    pub text: String,
    /// Whether it ended as nothing should: a process that cannot start says so and exits with 1.
    pub is_crash: bool,
}

/// A part of the system.
pub struct Part {
    name: String,
    banyan: PathBuf,
    file: PathBuf,
    output: PathBuf,
    pub(super) links: Links,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Process>,
    /// Whether it is to run: not while it lies killed.
    is_wanted: bool,
    ends: Vec<End>,
}

impl Links {
    pub(super) async fn of(postgres: &Postgres, brokers: &[Nats]) -> anyhow::Result<Self> {
        let port = testkit::free_port();
        let mut bus = Vec::new();
        for broker in brokers {
            bus.push(FaultProxy::start(broker.address()).await?);
        }
        let server = local(postgres.port());
        Ok(Self {
            port,
            admin: testkit::free_port(),
            front: FaultProxy::start(local(port)).await?,
            database: FaultProxy::start(server).await?,
            log: FaultProxy::start(server).await?,
            bus,
        })
    }

    /// Where others reach the part.
    pub(super) fn front(&self) -> SocketAddr {
        self.front.address()
    }

    async fn set(&self, link: Link, mode: Mode) {
        match link {
            Link::Gateway => self.front.set(mode).await,
            Link::Database => self.database.set(mode).await,
            Link::Log => self.log.set(mode).await,
            Link::Bus => {
                for proxy in &self.bus {
                    proxy.set(mode).await;
                }
            }
        }
    }
}

impl Part {
    pub(super) fn new(
        name: &str,
        banyan: &Path,
        file: PathBuf,
        outputs: &Path,
        links: Links,
    ) -> Self {
        Self {
            name: name.to_owned(),
            banyan: banyan.to_owned(),
            file,
            output: outputs.join(format!("{name}.log")),
            links,
            state: Mutex::default(),
        }
    }

    /// Starts it, with more settings than its file has.
    pub(super) fn spawn(&self, more: &[(&str, String)]) -> anyhow::Result<()> {
        let mut state = self.state();
        state.is_wanted = true;
        state.process = Some(self.process(more)?);
        Ok(())
    }

    fn process(&self, more: &[(&str, String)]) -> anyhow::Result<Process> {
        let (service, _) = self.name.rsplit_once('-').context("a replica's name")?;
        let mut command = Command::new(&self.banyan);
        if let Some(folder) = self.file.parent() {
            command.current_dir(folder);
        }
        match service {
            "log" | "gateway" => command.arg(service),
            service => command.args(["service", service]),
        };
        command.arg("--config").arg(&self.file);
        for (key, value) in more {
            let prefix = service.to_uppercase();
            command.env(format!("BANYAN_{prefix}__{key}"), value);
        }
        Process::spawn_command(command)
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut state = self.state();
        state.is_wanted = false;
        if let Some(mut process) = state.process.take() {
            process.kill()?;
            self.keep_output(&process)?;
        }
        Ok(())
    }

    /// Starts what was killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn revive(&self) -> anyhow::Result<()> {
        let is_there = self.state().process.is_some();
        if is_there { Ok(()) } else { self.spawn(&[]) }
    }

    /// Stops it where it is (SIGSTOP).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn freeze(&self) -> anyhow::Result<()> {
        let mut state = self.state();
        state.process.as_mut().map_or(Ok(()), Process::freeze)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn thaw(&self) -> anyhow::Result<()> {
        let mut state = self.state();
        state.process.as_mut().map_or(Ok(()), Process::thaw)
    }

    /// Lets one of its links fail.
    pub async fn cut(&self, link: Link, how: How) {
        let mode = match how {
            How::Silent => Mode::Blackhole,
            How::Refused => Mode::Refuse,
            How::Reset => Mode::Reset,
            How::Slow(millis) => Mode::Delay(Duration::from_millis(millis)),
            How::CutRequest(bytes) => Mode::CutRequestAfter(bytes),
            How::CutAnswer(bytes) => Mode::CutResponseAfter(bytes),
        };
        self.links.set(self.link(link), mode).await;
    }

    /// Mends the link.
    pub async fn mend(&self, link: Link) {
        self.links.set(self.link(link), Mode::Pass).await;
    }

    /// Who has no database of its own has the log's.
    fn link(&self, link: Link) -> Link {
        let has_none = self.name.starts_with("log") || self.name.starts_with("gateway");
        if has_none && link == Link::Database {
            Link::Log
        } else {
            link
        }
    }

    /// How it ended without having been killed, each time.
    pub fn ends(&self) -> Vec<End> {
        self.state().ends.clone()
    }

    /// Writes what it said so far to its file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn tell(&self) -> anyhow::Result<()> {
        let state = self.state();
        let process = state.process.as_ref();
        process.map_or(Ok(()), |process| self.keep_output(process))
    }

    /// Starts it again whenever it has ended by itself; never returns.
    pub(super) async fn keep(self: std::sync::Arc<Self>) {
        loop {
            sleep(LOOK).await;
            if self.bury() {
                sleep(BEFORE_RESTART).await;
                let mut state = self.state();
                if state.is_wanted && state.process.is_none() {
                    match self.process(&[]) {
                        Ok(process) => state.process = Some(process),
                        Err(error) => state.ends.push(End {
                            text: format!("{error:#}"),
                            is_crash: true,
                        }),
                    }
                }
            }
        }
    }

    /// Whether it has ended, and was not killed.
    fn bury(&self) -> bool {
        let mut state = self.state();
        let Some(process) = state.process.as_mut() else {
            return state.is_wanted;
        };
        let Some(status) = process.has_ended() else {
            return false;
        };
        let kept = self.keep_output(process);
        let last = process.output().pop().unwrap_or_default();
        state.process = None;
        let name = &self.name;
        state.ends.push(End {
            text: format!("{name} ended with {status}: {last}"),
            is_crash: status.code() != Some(1),
        });
        state.ends.extend(kept.err().map(|error| End {
            text: format!("{error:#}"),
            is_crash: true,
        }));
        true
    }

    fn keep_output(&self, process: &Process) -> anyhow::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.output)
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        for line in process.output() {
            writeln!(file, "{line}")?;
        }
        Ok(())
    }

    /// Waits until it can serve.
    pub(super) async fn ready(&self, within: Duration) -> anyhow::Result<()> {
        let port = if self.name.starts_with("gateway") {
            self.links.admin
        } else {
            self.links.port
        };
        let url = format!("http://127.0.0.1:{port}/health/ready");
        let is_ready = ready(&self.name, &url, within).await;
        is_ready.with_context(|| {
            let state = self.state();
            let output = state
                .process
                .as_ref()
                .map(Process::output)
                .unwrap_or_default();
            output[output.len().saturating_sub(12)..].join("\n")
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the URL answers with a success.
pub(super) async fn ready(name: &str, url: &str, within: Duration) -> anyhow::Result<()> {
    let (http, begun) = (reqwest::Client::new(), Instant::now());
    loop {
        let request = http.get(url).timeout(Duration::from_secs(5));
        let answer = request.send().await;
        if answer
            .as_ref()
            .is_ok_and(|answer| answer.status().is_success())
        {
            return Ok(());
        }
        if begun.elapsed() > within {
            let said = match answer {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            bail!("{name} is not ready within {within:?}: {said}");
        }
        sleep(LOOK).await;
    }
}
