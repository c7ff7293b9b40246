//! Where a measurement takes place, and the words that say what of it is wanted.

use std::{fs, process::Command, time::Duration};

use anyhow::Context;

/// The things of a list, by their names with commas between.
pub(in crate::bench) fn named<T: Copy>(
    list: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> anyhow::Result<Vec<T>> {
    let one = |wanted: &str| {
        let found = all
            .iter()
            .find(|it| name(**it).eq_ignore_ascii_case(wanted));
        found.copied().with_context(|| {
            let names: Vec<&str> = all.iter().map(|it| name(*it)).collect();
            format!("there is no {wanted:?}; there are {}", names.join(", "))
        })
    };
    list.split(',').map(one).collect()
}

/// Where and when, for the page.
pub(in crate::bench) fn place(repetitions: usize, time: Duration) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':'));
    let model = model.map_or("unknown", |(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let today = ::time::OffsetDateTime::now_utc().date();
    format!(
        "Measured on {today}, commit {}, on {processors} × {model}, Linux {}: {} repetitions of {} s.",
        commit.unwrap_or_default(),
        kernel.trim(),
        repetitions,
        time.as_secs(),
    )
}
