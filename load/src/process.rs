//! What the system's processes cost, from `/proc`: processor time and memory, by part.
//!
//! A part is a process and everything that it started: PostgreSQL's server processes belong to
//! PostgreSQL, those that ended already included.

use std::{collections::BTreeMap, fs, time::Duration};

use rustix::param::clock_ticks_per_second;

/// What a part has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Bytes of memory; what processes share is counted once.
    pub memory: u64,
}

/// The machine at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// Ticks in which a processor worked.
    busy: u64,
    /// All ticks.
    all: u64,
}

/// One process, as its `stat` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// Ticks of its own.
    own: u64,
    /// Ticks of children that ended and were waited for.
    children: u64,
}

/// Whom to account for: process ids and names.
#[derive(Clone, Debug, Default)]
pub struct Parts(pub Vec<(u32, String)>);

impl Parts {
    /// What each part has used so far; those that are gone are absent.
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let all = processes();
        let mut parts = BTreeMap::<String, Usage>::new();
        for stat in all.values() {
            let Some((root, name)) = self.owner(&all, stat.pid) else {
                continue;
            };
            let ended = if root == stat.pid { stat.children } else { 0 };
            let usage = parts.entry(name.to_owned()).or_default();
            usage.cpu += ticks(stat.own + ended);
            usage.memory += memory(stat.pid);
        }
        parts
    }

    /// The part that a process belongs to: itself or the nearest ancestor that is one.
    fn owner(&self, all: &BTreeMap<u32, Stat>, pid: u32) -> Option<(u32, &str)> {
        let mut pid = pid;
        loop {
            if let Some((root, name)) = self.0.iter().find(|(root, _)| *root == pid) {
                return Some((*root, name));
            }
            pid = all.get(&pid)?.parent;
        }
    }
}

impl Machine {
    /// Now.
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .filter_map(|number| number.parse().ok())
            .take(8)
            .collect();
        let all = ticks.iter().sum();
        // The fourth is idle, the fifth waits for a disk.
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Self {
            busy: all - idle,
            all,
        }
    }

    /// Which part of all processors' time was used since `before`, 0 to 1.
    pub fn busy_since(&self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        self.busy.saturating_sub(before.busy) as f64 / all as f64
    }
}

/// The load average of the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

fn processes() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        // One that ended meanwhile is left out.
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse(pid, &text)?))
    })
    .collect()
}

/// `pid (name) state ppid …`: the name may hold anything, so what counts begins after the last `)`.
fn parse(pid: u32, text: &str) -> Option<Stat> {
    let rest: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| rest.get(place)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        parent: rest.get(1)?.parse().ok()?,
        own: number(11)? + number(12)?,
        children: number(13)? + number(14)?,
    })
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / clock_ticks_per_second() as f64)
}

/// The proportional share, so that PostgreSQL's shared buffers do not count once for each of its
/// processes; where that cannot be read, what is resident.
fn memory(pid: u32) -> u64 {
    let of = |file: &str, field: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let kib = of("smaps_rollup", "Pss:").or_else(|| of("status", "VmRSS:"));
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_whatever_the_process_calls_itself() {
        let text = "42 (a ) b (c) S 7 42 42 0 -1 4194560 9 8 7 6 150 50 30 20 20 0 1 0 5 6 7";
        let stat = parse(42, text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.children), (7, 200, 50));
        assert_eq!(parse(1, "1 (init"), None);
    }

    #[test]
    fn a_process_belongs_to_the_nearest_ancestor_that_is_a_part() {
        let stat = |pid, parent| {
            let (own, children) = (0, 0);
            (
                pid,
                Stat {
                    pid,
                    parent,
                    own,
                    children,
                },
            )
        };
        let all = BTreeMap::from([stat(1, 0), stat(10, 1), stat(11, 10), stat(20, 10)]);
        let parts = Parts(vec![(10, "load".to_owned()), (20, "quiz".to_owned())]);
        assert_eq!(parts.owner(&all, 11), Some((10, "load")));
        assert_eq!(parts.owner(&all, 20), Some((20, "quiz")));
        assert_eq!(parts.owner(&all, 1), None);
    }

    #[test]
    fn our_own_usage_is_there_and_grows() {
        let parts = Parts(vec![(std::process::id(), "us".to_owned())]);
        let before = parts.usage()["us"];
        assert!(before.memory > 100_000);
        let begun = std::time::Instant::now();
        let mut sum = 0_u64;
        while parts.usage()["us"].cpu <= before.cpu {
            sum = sum.wrapping_mul(31).wrapping_add(1);
            assert!(begun.elapsed() < Duration::from_secs(30), "{sum}");
        }
    }

    #[test]
    fn the_machine_is_busy_by_its_idle_ticks() {
        let before = Machine::parse("cpu  100 0 100 700 100 0 0 0 0 0\n");
        let after = Machine::parse("cpu  200 0 150 730 120 0 0 0 9 9\n");
        assert!((after.busy_since(&before) - 0.75).abs() < 1e-9);
    }
}
