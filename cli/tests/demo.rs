//! The demo as a person runs it, only shorter.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, test_kill_process};
use serde_json::Value;
use testkit::{Process, TempDir, eventually};

/// The whole demo on a machine that does ten other things.
const WHOLE: Duration = Duration::from_secs(300);
/// A start, or an orderly end.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running demo. When a test fails it is ended in order, so that its own child ends with it.
struct Demo {
    process: Process,
    folder: TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = testkit::temp_dir();
        let mut command = Command::new(env!("CARGO_BIN_EXE_banyan"));
        command
            .args([
                "demo",
                "--plain",
                "--players",
                "16",
                "--rate",
                "10",
                "--step",
                "2",
            ])
            .arg("--port-offset")
            .arg(testkit::free_port_offset().to_string())
            .current_dir(folder.path())
            .env("TMPDIR", folder.path());
        let process = Process::spawn_command(command).expect("the demo starts");
        Self { process, folder }
    }

    /// The data folder of the system that the demo started.
    fn data_dir(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.folder.path()).expect("the test's own folder");
        let found = entries.find_map(|entry| {
            let path = entry.ok()?.path();
            path.file_name()?
                .to_str()?
                .starts_with("banyan-demo-")
                .then_some(path)
        });
        found.expect("the demo's folder")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.terminate().ok();
        let begun = Instant::now();
        while self.process.is_running() && begun.elapsed() < PATIENCE {
            // Between two looks at a condition that has a bound.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn pid(data_dir: &Path) -> Pid {
    let text = std::fs::read_to_string(data_dir.join("endpoints.toml")).expect("a running up");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("pid = "))
        .expect("its pid");
    Pid::from_raw(line.parse().expect("a number")).expect("a process id")
}

fn told(data_dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(data_dir.join("demo-ledger.jsonl")).expect("a ledger");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect()
}

#[tokio::test]
async fn the_main_job_loses_nothing_and_the_audit_has_the_last_word() {
    let mut demo = Demo::start();
    let status = demo.process.exit(WHOLE).await;
    let output = demo.process.output();
    assert!(status.success(), "{status}\n{}", output.join("\n"));
    let last = output.last().map(String::as_str).unwrap_or_default();
    assert!(
        last.starts_with("audit: everything agrees as of position "),
        "{}",
        output.join("\n")
    );
    let told = told(&demo.data_dir());
    let count = |outcome: &str, side: &str| {
        told.iter()
            .filter(|told| told["outcome"] == outcome && told["side"] == side)
            .count()
    };
    assert!(count("accepted", "legacy") > 0, "{told:?}");
    assert!(count("accepted", "candidate") > 0, "{told:?}");
    assert!(count("compensated", "candidate") > 0, "{told:?}");
    assert_eq!(
        count("unknown", "legacy") + count("unknown", "candidate"),
        0,
        "{told:?}"
    );
}

#[tokio::test]
async fn ctrl_c_ends_the_demo_and_the_system_that_it_started() {
    let mut demo = Demo::start();
    demo.process.line("3/10", PATIENCE).await;
    let system = pid(&demo.data_dir());
    demo.process.interrupt().expect("a running demo");
    let status = demo.process.exit(PATIENCE).await;
    assert_eq!(status.code(), Some(1));
    eventually(PATIENCE, || async { test_kill_process(system).is_err() }).await;
    demo.process.line("interrupted", PATIENCE).await;
}
