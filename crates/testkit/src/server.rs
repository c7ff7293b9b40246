//! A server that a test starts, stops and starts again: a direct child with its output in a file.

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::guard;

/// A start on a machine that is busy compiling; a healthy one takes under a second, and RabbitMQ some.
const START_WITHIN: Duration = Duration::from_secs(180);
/// After this a server that was asked to stop is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks at a starting or stopping server.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Server {
    name: &'static str,
    child: Child,
    at_death: Signal,
}

impl Server {
    /// Starts `command` and returns once `is_ready` says so. `at_death` is the signal that the
    /// guard sends when this process dies; dropping the value sends it too. Blocks.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        output: &Path,
        at_death: Signal,
        is_ready: impl Fn(u32) -> bool,
    ) -> anyhow::Result<Self> {
        guard::ready();
        let log = OpenOptions::new().create(true).append(true).open(output)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        guard::kill_at_death(child.id(), at_death);
        let mut server = Self {
            name,
            child,
            at_death,
        };
        let began = Instant::now();
        while !is_ready(server.child.id()) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended at its start ({status}):\n{}", tail(output));
            }
            if began.elapsed() > START_WITHIN {
                bail!(
                    "{name} was not ready within {START_WITHIN:?}:\n{}",
                    tail(output)
                );
            }
            std::thread::sleep(PAUSE);
        }
        Ok(server)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal`, which does not end it.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// Sends `signal` and returns once the process has ended. Blocks.
    pub(crate) fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))?;
        let began = Instant::now();
        // Forgotten before it is reaped: until then the number cannot belong to anybody else.
        guard::forget(self.child.id());
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > STOP_WITHIN {
                kill_process(pid, Signal::KILL)?;
                self.child.wait()?;
                bail!(
                    "{} did not stop within {STOP_WITHIN:?} and was killed",
                    self.name
                );
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop(self.at_death) {
            eprintln!("testkit: {error:#}");
        }
    }
}

/// The last lines that a server wrote, for a failure message.
fn tail(output: &Path) -> String {
    let text = std::fs::read_to_string(output).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The folders of PATH, and those where Debian puts servers.
pub(crate) fn search_path() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    folders
        .extend(["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    folders
}
