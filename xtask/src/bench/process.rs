//! A program that is measured: started, watched through `/proc`, and stopped by its id.
//!
//! Invariant: what was started here ends with its value, however a measurement ends.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

/// How long a program may take until it listens, and until it ended after it was told to.
const PATIENCE: Duration = Duration::from_secs(20);
/// The kernel counts processor time for others in hundredths of a second, on every platform that
/// the measurement runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// A running program.
pub(in crate::bench) struct Process {
    child: Child,
    name: String,
}

/// One process as `/proc` has it.
struct Stat {
    parent: u32,
    ticks: u64,
    ended_children: u64,
}

impl Process {
    /// Starts a program; what it says goes to `NAME.log` in the folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(in crate::bench) fn start(
        name: &str,
        command: &mut Command,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = File::create(folder.join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let name = name.to_owned();
        Ok(Self { child, name })
    }

    /// Its process id.
    pub(in crate::bench) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it takes connections.
    ///
    /// # Errors
    /// When it ended, or does not in time.
    pub(in crate::bench) fn listens(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}; see its log", self.name);
            }
            if Instant::now() > until {
                bail!("{} does not listen on {address}", self.name);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Processor seconds that it and all that it started have used so far.
    pub(in crate::bench) fn cpu(&self) -> f64 {
        let family = self.family();
        let own = family.values().map(|stat| stat.ticks).sum::<u64>();
        let root = family.get(&self.child.id());
        let ended = root.map_or(0, |stat| stat.ended_children);
        (own + ended) as f64 / TICKS_A_SECOND
    }

    /// Memory that it and all that it started hold resident now, in MiB.
    pub(in crate::bench) fn memory(&self) -> f64 {
        let resident = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        self.family().keys().filter_map(resident).sum::<f64>() / 1024.0
    }

    fn family(&self) -> BTreeMap<u32, Stat> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let all: BTreeMap<u32, Stat> = pids
            .filter_map(|pid| {
                let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                Some((pid, stat(&text)?))
            })
            .collect();
        let is_ours = |pid: u32| {
            let mut at = pid;
            loop {
                if at == self.child.id() {
                    return true;
                }
                match all.get(&at) {
                    Some(stat) => at = stat.parent,
                    None => return false,
                }
            }
        };
        let ours: Vec<u32> = all.keys().copied().filter(|pid| is_ours(*pid)).collect();
        let mut all = all;
        all.retain(|pid, _| ours.contains(pid));
        all
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // By `kill`, since a signal is not the standard library's business: all of them drain on it.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `pid (name) state ppid …`: the name may hold anything, so what counts begins after the last `)`.
fn stat(text: &str) -> Option<Stat> {
    let rest: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| rest.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: rest.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_whatever_the_process_calls_itself() {
        let text = "42 (a ) b (c) S 7 42 42 0 -1 4194560 9 8 7 6 150 50 30 20 20 0 1 0 5 6 7";
        let read = stat(text).unwrap();
        assert_eq!((read.parent, read.ticks, read.ended_children), (7, 200, 50));
        assert!(stat("1 (init").is_none());
    }

    #[test]
    fn a_process_is_accounted_for_with_what_it_started_and_ends_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & wait"]);
        let process = Process::start("shell", &mut shell, folder.path()).unwrap();
        let until = Instant::now() + PATIENCE;
        while process.family().len() < 2 {
            assert!(Instant::now() < until, "the shell starts a second process");
        }
        assert!(process.memory() > 0.0);
        let sleeper = *process.family().keys().max().unwrap();
        let _ = Command::new("kill").arg(sleeper.to_string()).status();
        let pid = process.child.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
