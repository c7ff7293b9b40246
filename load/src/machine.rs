//! Where a run takes place: what its figures depend on.

use std::{
    fs::{self, File},
    io::Write,
    process::Command,
    time::Instant,
};

/// Writes whose median says what a commit waits for.
const WRITES: usize = 100;

/// Name and value, for the report.
pub fn description() -> Vec<(String, String)> {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let mut all = vec![
        (
            "processors".to_owned(),
            format!("{processors} × {}", processor()),
        ),
        ("memory".to_owned(), memory()),
        (
            "kernel".to_owned(),
            first_line("/proc/sys/kernel/osrelease"),
        ),
    ];
    if let Some(micros) = sync_micros() {
        let text = format!("{micros} µs (median of {WRITES} writes of 4 KiB where the data lies)");
        all.push(("a write that reaches the disk".to_owned(), text));
    }
    all
}

/// The commit of this folder, with `+` when files differ from it.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let is_changed = git(&["status", "--porcelain"]).is_some_and(|text| !text.is_empty());
    format!("{commit}{}", if is_changed { "+" } else { "" })
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.and_then(|rest| rest.split_once(':'));
    name.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or("unknown".to_owned(), |kib| {
        format!("{:.0} GiB", kib / 1024.0 / 1024.0)
    })
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// What makes a durable commit slow or quick.
fn sync_micros() -> Option<u128> {
    let folder = testkit::temp_dir();
    let mut file = File::create(folder.path().join("probe")).ok()?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).ok()?;
        file.sync_data().ok()?;
        times.push(begun.elapsed().as_micros());
    }
    times.sort_unstable();
    times.get(WRITES / 2).copied()
}
