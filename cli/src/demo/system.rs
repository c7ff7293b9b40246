//! The system under the demo: the running `up` of this folder, or one started as a child process,
//! which can be killed and started again on the same data.
//!
//! Invariant: only a process that is known to be a `banyan` is ever signalled, by its id; a child
//! of ours never outlives the demo's own end.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use chassis::Shutdown;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    client::Client,
    endpoints::{ADMIN_PORT, Endpoints, GATEWAY_PORT, SERVICES},
};

/// How long a start may take: far above the 3 s of an idle machine, for a busy one.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long the child may take to drain: above its own bound.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How long a killed process may stay.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Offsets tried, this far apart: the ports of one system span fewer than a thousand.
const OFFSET_STEP: u16 = 100;
/// The highest offset that leaves every port a valid one.
const OFFSET_MAX: u16 = 50_000;

/// A running system.
#[derive(Debug)]
pub(crate) struct System {
    /// Where it listens.
    pub(crate) endpoints: Endpoints,
    /// Its data.
    pub(crate) data_dir: PathBuf,
    /// Added to its ports.
    pub(crate) offset: u16,
    /// Whether it was running before the demo.
    pub(crate) is_attached: bool,
    child: Option<Child>,
    actor: String,
}

impl System {
    /// The `up` of `data_dir` if one is running, else one of our own in a temporary folder.
    ///
    /// # Errors
    /// When none can be started.
    pub(crate) async fn attach_or_start(
        data_dir: &Path,
        offset: u16,
        actor: &str,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        if let Some(endpoints) = running(data_dir, actor).await? {
            let offset = port(&endpoints.gateway).and_then(|port| port.checked_sub(GATEWAY_PORT));
            return Ok(Self {
                endpoints,
                // Absolute, since a person may type it in another folder.
                data_dir: data_dir.canonicalize()?,
                offset: offset.unwrap_or_default(),
                is_attached: true,
                child: None,
                actor: actor.to_owned(),
            });
        }
        let offset = free_offset(offset)?;
        // It stays: the ledger lies in it, and what disagrees can be looked at.
        let data_dir = tempfile::Builder::new()
            .prefix("banyan-demo-")
            .tempdir()
            .context("cannot make a temporary folder (TMPDIR)")?
            .keep();
        let mut system = Self {
            endpoints: Endpoints::with_offset(offset),
            data_dir,
            offset,
            is_attached: false,
            child: None,
            actor: actor.to_owned(),
        };
        system.start(shutdown).await?;
        Ok(system)
    }

    /// A client for the operator's acts.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn operator(&self) -> anyhow::Result<Client> {
        Client::new(self.endpoints.clone(), &self.actor)
    }

    /// The command line that starts it.
    pub(crate) fn command_line(&self) -> String {
        format!(
            "banyan up --data-dir {} --port-offset {}",
            self.data_dir.display(),
            self.offset
        )
    }

    /// Where the child's own output goes.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.data_dir.join("up.log")
    }

    /// Whether it runs as a child of ours, and ends with us.
    pub(crate) fn is_ours(&self) -> bool {
        self.child.is_some()
    }

    /// The process to kill, when it is known beyond doubt.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.child {
            Some(child) => child.id(),
            None => self.endpoints.pid.filter(|pid| is_banyan(*pid)),
        }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When its process is not known, or does not go.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            return child
                .kill()
                .await
                .context("cannot kill the system's process");
        }
        let pid = self
            .pid()
            .and_then(known_pid)
            .context("the system's process is not known")?;
        kill_process(pid, Signal::KILL).context("cannot kill the system's process")?;
        let begun = Instant::now();
        while test_kill_process(pid).is_ok() {
            if begun.elapsed() > GONE_WITHIN {
                bail!("the killed process {} is still there", pid.as_raw_nonzero());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Starts it as a child on its data and waits until it is ready; how long that took.
    ///
    /// # Errors
    /// When it ends or does not become ready; with the last that it wrote.
    pub(crate) async fn start(&mut self, shutdown: &Shutdown) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let executable = std::env::current_exe().context("cannot find our own program")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let mut command = Command::new(executable);
        command
            .arg("up")
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--port-offset")
            .arg(self.offset.to_string())
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            // Ctrl-C in the terminal is for the demo alone, which ends its child in order.
            .process_group(0)
            .kill_on_drop(true);
        let child = self
            .child
            .insert(command.spawn().context("cannot start `banyan up`")?);
        let pid = child.id();
        loop {
            if let Some(status) = child.try_wait()? {
                let log = self.log_file();
                bail!("`banyan up` ended ({status}):\n{}", tail(&log));
            }
            if let Some(endpoints) = written(&self.data_dir).filter(|found| found.pid == pid)
                && is_ready(&endpoints, &self.actor).await
            {
                self.endpoints = endpoints;
                return Ok(begun.elapsed());
            }
            if shutdown.is_cancelled() {
                bail!("interrupted");
            }
            if begun.elapsed() > READY_WITHIN {
                bail!(
                    "`banyan up` is not ready after {READY_WITHIN:?}; {}",
                    tail(&self.log_file())
                );
            }
            sleep(LOOK).await;
        }
    }

    /// Stops the child, if there is one, in order; one that does not drain is killed.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Some(pid) = child.id().and_then(known_pid) {
            kill_process(pid, Signal::TERM).context("cannot stop the system's process")?;
        }
        if timeout(STOP_WITHIN, child.wait()).await.is_err() {
            child
                .kill()
                .await
                .context("cannot kill the system's process")?;
        }
        Ok(())
    }
}

fn known_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Ids are used again: a file left by a killed `up` may name a stranger by now.
fn is_banyan(pid: u32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    // A rebuilt program's link ends in " (deleted)".
    program.is_ok_and(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("banyan"))
    })
}

/// What an `up` wrote into its folder.
fn written(data_dir: &Path) -> Option<Endpoints> {
    let found = Endpoints::find(None, data_dir).ok()?;
    found.pid.is_some().then_some(found)
}

/// The running `up` of `data_dir`, if there is one.
async fn running(data_dir: &Path, actor: &str) -> anyhow::Result<Option<Endpoints>> {
    let Some(found) = written(data_dir) else {
        return Ok(None);
    };
    Ok(is_ready(&found, actor).await.then_some(found))
}

async fn is_ready(endpoints: &Endpoints, actor: &str) -> bool {
    let Ok(client) = Client::new(endpoints.clone(), actor) else {
        return false;
    };
    client
        .admin(Method::GET, "/health/ready", None)
        .await
        .is_ok()
}

fn port(url: &str) -> Option<u16> {
    url.rsplit(':').next()?.parse().ok()
}

/// The first offset from `first` on at which nobody listens on any port of a system.
fn free_offset(first: u16) -> anyhow::Result<u16> {
    let services = SERVICES.iter().map(|(_, port)| *port);
    let ports: Vec<u16> = [GATEWAY_PORT, ADMIN_PORT]
        .into_iter()
        .chain(services)
        .collect();
    let is_free = |offset: u16| {
        ports
            .iter()
            .all(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_ok())
    };
    (first.min(OFFSET_MAX)..=OFFSET_MAX)
        .step_by(usize::from(OFFSET_STEP))
        .find(|offset| is_free(*offset))
        .context("no free ports for a system (--port-offset)")
}

/// The last lines of the child's output.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_with_a_taken_port_is_passed_over() {
        let first = free_offset(20_000).unwrap();
        let taken = TcpListener::bind(("127.0.0.1", 9003 + first)).unwrap();
        assert!(free_offset(first).unwrap() > first);
        drop(taken);
    }

    #[test]
    fn a_stranger_is_never_taken_for_the_system() {
        assert!(!is_banyan(u32::MAX));
        assert!(!is_banyan(1));
    }
}
