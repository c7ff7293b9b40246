//! `cargo xtask drills`: every runbook's drill, and the dated report of them.
//!
//! A drill is a test that leaves a record of what it did; a drill that left none has not run, and
//! says so in the report.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Command};

use anyhow::{Context, bail};
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};

use crate::{
    step::succeed,
    tools::{self, Runner},
    workspace::Workspace,
};

/// Where the report is written, when all drills ran.
const REPORT: &str = "docs/drills.md";

/// Runs the drills; `arguments` go to the test runner, which may choose some of them: then the
/// report is only printed. Returns whether all passed.
///
/// # Errors
/// When they cannot be run at all.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<bool> {
    if matches!(tools::runner(), Runner::Cargo) {
        bail!("the drills are chosen by a profile of cargo-nextest: cargo install cargo-nextest");
    }
    tools::programs(workspace)?;
    let python = tools::python(workspace)?;
    let build = [
        "build",
        "--locked",
        "-p",
        "testkit",
        "--bin",
        "with-servers",
    ];
    succeed(
        Command::new("cargo")
            .args(build)
            .current_dir(&workspace.root),
    )?;
    let records = workspace.root.join("target/drills");
    if records.exists() {
        std::fs::remove_dir_all(&records)?;
    }
    std::fs::create_dir_all(&records)?;
    let mut command = Command::new(workspace.built("with-servers"));
    command.args(["cargo", "nextest", "run", "--locked", "-p", "cli"]);
    command.args(["--profile", "drills"]).args(arguments);
    command.env("BANYAN_TEST_PYTHON", python.join("bin"));
    command.env("BANYAN_DRILLS_DIR", &records);
    let passed = succeed(command.current_dir(&workspace.root)).is_ok();
    let drills = read(&records)?;
    let missing: Vec<String> = runbooks(workspace)?
        .into_iter()
        .filter(|name| !drills.contains_key(name))
        .collect();
    let report = report(&about(workspace)?, &drills, &missing);
    println!("\n{report}");
    if arguments.is_empty() {
        let file = workspace.root.join(REPORT);
        std::fs::write(&file, report).with_context(|| format!("cannot write {REPORT}"))?;
        println!("written to {REPORT}");
        return Ok(passed && missing.is_empty());
    }
    Ok(passed)
}

/// The records by runbook.
fn read(folder: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut drills = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let text = std::fs::read_to_string(entry?.path())?;
        let record: Value = serde_json::from_str(&text)?;
        let name = record["runbook"].as_str().context("a nameless record")?;
        drills.insert(name.to_owned(), record);
    }
    Ok(drills)
}

/// The names of all runbooks.
fn runbooks(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let files = workspace.files()?;
    let names = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("runbooks/"))
        .filter(|name| name.ends_with(".md") && *name != "README.md");
    Ok(names.map(ToOwned::to_owned).collect())
}

/// When, what, and on which machine.
fn about(workspace: &Workspace) -> anyhow::Result<String> {
    let now = OffsetDateTime::now_utc().format(format_description!(
        "[year]-[month]-[day] [hour]:[minute] UTC"
    ))?;
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let mut git = Command::new("git");
        git.args(["-c", "safe.directory=*"]).args(arguments);
        let output = git.current_dir(&workspace.root).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--", ".", ":!docs/drills.md"])?;
    let changes = if changed.is_empty() {
        ""
    } else {
        " with changes"
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .map_or(0.0, |kilobytes: f64| kilobytes / f64::from(1 << 20));
    Ok(format!(
        "{now}, commit {commit}{changes}; {cores} cores ({model}), {memory:.1} GiB of memory; \
         unoptimised build."
    ))
}

fn report(about: &str, drills: &BTreeMap<String, Value>, missing: &[String]) -> String {
    let mut text = format!(
        "# Drills\n\nWritten by `cargo xtask drills`. Each runbook was followed, command by command, \
         in the distributed form in which its fault had really been made (see \
         [runbooks/README.md](../runbooks/README.md)).\n\n{about}\n\n\
         *Found*: from the fault to the first `banyan doctor` that named the runbook. *Mended*: from the \
         first command of Act to the end of Verify. *Total* includes starting and filling the system.\n\n\
         | runbook | the fault | found | mended | total | commands | result |\n\
         | --- | --- | ---: | ---: | ---: | ---: | --- |\n"
    );
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes all");
    for (name, drill) in drills {
        let faults: Vec<_> = drill["faults"].as_array().into_iter().flatten().collect();
        let faults: Vec<_> = faults.iter().filter_map(|fault| fault.as_str()).collect();
        let seconds = |member: &str| match drill[member].as_f64() {
            Some(seconds) => format!("{seconds:.1} s"),
            None => "–".to_owned(),
        };
        let result = if drill["passed"] == true {
            "passed"
        } else {
            "**failed**"
        };
        line(format!(
            "| [{name}](../runbooks/{name}) | {} | {} | {} | {} | {} | {result} |",
            if faults.is_empty() {
                "a plan: none".to_owned()
            } else {
                faults.join("; ")
            },
            seconds("foundSeconds"),
            seconds("mendedSeconds"),
            seconds("totalSeconds"),
            drill["steps"].as_array().map_or(0, Vec::len),
        ));
    }
    for name in missing {
        line(format!(
            "| [{name}](../runbooks/{name}) | – | – | – | – | – | **did not run** |"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_report_says_what_failed_and_what_did_not_run() {
        let record = |passed| {
            json!({ "faults": ["one", "two"], "foundSeconds": 1.26, "mendedSeconds": null,
                    "totalSeconds": 30, "passed": passed, "steps": [{}, {}] })
        };
        let drills = BTreeMap::from([
            ("a.md".to_owned(), record(true)),
            ("b.md".to_owned(), record(false)),
        ]);
        let report = report("Today.", &drills, &["c.md".to_owned()]);
        for line in [
            "| [a.md](../runbooks/a.md) | one; two | 1.3 s | – | 30.0 s | 2 | passed |",
            "| [b.md](../runbooks/b.md) | one; two | 1.3 s | – | 30.0 s | 2 | **failed** |",
            "| [c.md](../runbooks/c.md) | – | – | – | – | – | **did not run** |",
        ] {
            assert!(report.lines().any(|one| one == line), "{report}");
        }
    }
}
