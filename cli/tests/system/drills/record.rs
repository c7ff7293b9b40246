//! What a drill did and how long it took, for the report of `cargo xtask drills`.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// The folder that records are written to; without it there are none.
const FOLDER: &str = "BANYAN_DRILLS_DIR";

/// One drill, written down when it is dropped: also when it failed.
pub(super) struct Record {
    runbook: String,
    began: Instant,
    faults: Vec<String>,
    found: Option<f64>,
    mended: Option<f64>,
    steps: Vec<Value>,
    passed: bool,
}

impl Record {
    pub(super) fn new(runbook: &str) -> Self {
        Self {
            runbook: runbook.to_owned(),
            began: Instant::now(),
            faults: Vec::new(),
            found: None,
            mended: None,
            steps: Vec::new(),
            passed: false,
        }
    }

    pub(super) fn fault(&mut self, what: &str) {
        self.faults.push(what.to_owned());
    }

    /// Seconds from the fault to the first `banyan doctor` that named the runbook. Of several
    /// faults the slowest counts.
    pub(super) fn found(&mut self, since: Instant) {
        let seconds = since.elapsed().as_secs_f64();
        self.found = Some(self.found.map_or(seconds, |before| before.max(seconds)));
    }

    /// Seconds from the first command of Act to the end of Verify.
    pub(super) fn mended(&mut self, since: Instant) {
        self.mended = Some(since.elapsed().as_secs_f64());
    }

    pub(super) fn step(&mut self, room: &str, script: &str, took: Duration, exit: i32) {
        self.steps.push(json!({
            "room": room, "script": script, "exit": exit,
            "seconds": took.as_secs_f64(),
        }));
    }

    pub(super) fn passed(&mut self) {
        self.passed = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(folder) = std::env::var_os(FOLDER) else {
            return;
        };
        let record = json!({
            "runbook": self.runbook,
            "faults": self.faults,
            "foundSeconds": self.found,
            "mendedSeconds": self.mended,
            "totalSeconds": self.began.elapsed().as_secs_f64(),
            "passed": self.passed,
            "steps": self.steps,
        });
        let file = PathBuf::from(folder).join(self.runbook.replace(".md", ".json"));
        if let Err(error) = std::fs::write(&file, record.to_string()) {
            // Dropped while a test may be failing already: a second panic would hide the first.
            eprintln!("cannot write {}: {error}", file.display());
        }
    }
}
