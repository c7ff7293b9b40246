//! The steps of `cargo xtask test`.
//!
//! Invariant: the test runner's own summary ends the output of a run that passed, so that CI finds
//! it; everything else is printed before the tests start.

use std::{
    fmt,
    process::{Command, ExitCode, ExitStatus},
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    tidy,
    tools::{self, Runner},
    workspace::Workspace,
};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Fmt,
    Clippy,
    Deny,
    Tidy,
    Docs,
    Tests,
}

impl Step {
    /// In the order in which they run: the quick ones first, the runner's summary last.
    pub(crate) const ALL: [Self; 6] = [
        Self::Fmt,
        Self::Clippy,
        Self::Deny,
        Self::Tidy,
        Self::Docs,
        Self::Tests,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Deny => "deny",
            Self::Tidy => "tidy",
            Self::Docs => "docs",
            Self::Tests => "tests",
        }
    }

    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    fn what(self) -> &'static str {
        match self {
            Self::Fmt => "rustfmt agrees with every file",
            Self::Clippy => "clippy finds nothing, in tests neither",
            Self::Deny => "licences, bans and sources of all dependencies",
            Self::Tidy => "the rules of this repository",
            Self::Docs => "the examples in the documentation",
            Self::Tests => "all tests",
        }
    }

    fn run(self, workspace: &Workspace, runner_arguments: &[String]) -> anyhow::Result<()> {
        match self {
            Self::Fmt => cargo(workspace, &["fmt", "--all", "--", "--check", "-l"]),
            Self::Clippy => cargo(
                workspace,
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--locked",
                    "--",
                    "-D",
                    "warnings",
                ],
            ),
            Self::Deny => deny(workspace),
            Self::Tidy => tidy::run(workspace),
            Self::Docs => docs(workspace),
            Self::Tests => tests(workspace, runner_arguments),
        }
    }
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        Self::ALL
            .into_iter()
            .find(|step| step.name() == name)
            .with_context(|| format!("there is no step {name:?}; there are {}", Self::names()))
    }
}

/// Runs the steps in the order of [`Step::ALL`] and returns whether all passed; a failing one does
/// not keep the later ones from running.
pub(crate) fn run(workspace: &Workspace, steps: &[Step], runner_arguments: &[String]) -> bool {
    let mut failed = Vec::new();
    for step in Step::ALL.into_iter().filter(|step| steps.contains(step)) {
        let began = Instant::now();
        if step == Step::Tests && !failed.is_empty() {
            println!("\n    failed so far: {}", failed.join(", "));
        }
        println!("\n==> {}: {}", step.name(), step.what());
        let result = step.run(workspace, runner_arguments);
        let time = seconds(began.elapsed());
        match result {
            // The runner has the last word.
            Ok(()) if step == Step::Tests => {}
            Ok(()) => println!("    {} passed in {time}", step.name()),
            Err(error) => {
                if step != Step::Tests || !error.is::<Ended>() {
                    println!("    {} FAILED in {time}: {error:#}", step.name());
                }
                failed.push(step.name());
            }
        }
    }
    if failed.iter().any(|name| *name != Step::Tests.name()) {
        println!("\nfailed: {}", failed.join(", "));
    }
    failed.is_empty()
}

fn deny(workspace: &Workspace) -> anyhow::Result<()> {
    let program = tools::cargo_deny(workspace)?;
    let mut command = Command::new(program);
    command.args(["--workspace", "--all-features", "check"]);
    command.args(["--hide-inclusion-graph", "bans", "licenses", "sources"]);
    println!("    advisories need the network: `cargo deny check advisories`");
    succeed(command.current_dir(&workspace.root))
}

/// Doc tests are slow to link, so they only run when there are any.
fn docs(workspace: &Workspace) -> anyhow::Result<()> {
    let is_example = |line: &str| {
        let comment = line.trim_start();
        let text = comment
            .strip_prefix("///")
            .or_else(|| comment.strip_prefix("//!"));
        text.is_some_and(|text| matches!(text.trim(), "```rust" | "```no_run" | "```should_panic"))
    };
    let files = workspace.files()?;
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    if rust.flat_map(|file| file.text.lines()).any(is_example) {
        cargo(
            workspace,
            &["test", "--workspace", "--doc", "--locked", "--quiet"],
        )
    } else {
        println!("    there are none");
        Ok(())
    }
}

fn tests(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    tools::programs(workspace)?;
    tools::httpwg(workspace)?;
    let python = tools::python(workspace)?;
    let runner = tools::runner();
    let mut run = match runner {
        Runner::Nextest => vec!["nextest", "run"],
        Runner::Cargo => {
            println!("    cargo-nextest is not installed: `cargo test` runs instead");
            vec!["test", "--lib", "--bins", "--tests", "--no-fail-fast"]
        }
    };
    run.push("--locked");
    // `-p bus` names what to run instead of everything.
    if !arguments
        .iter()
        .any(|argument| matches!(argument.as_str(), "-p" | "--package"))
    {
        run.push("--workspace");
    }
    let began = Instant::now();
    if arguments.is_empty() {
        // Builds the programs of tested packages too, `with-servers` among them.
        cargo(workspace, &[run.as_slice(), &["--no-run"]].concat())?;
    } else {
        cargo(
            workspace,
            &["build", "--workspace", "--locked", "--bin", "with-servers"],
        )?;
    }
    println!("    built in {}", seconds(began.elapsed()));
    let mut command = Command::new(workspace.built("with-servers"));
    command.arg("cargo").args(run).args(arguments);
    command.env("BANYAN_TEST_PYTHON", python.join("bin"));
    succeed(command.current_dir(&workspace.root))
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> anyhow::Result<()> {
    succeed(
        Command::new("cargo")
            .args(arguments)
            .current_dir(&workspace.root),
    )
}

/// A program that ran and says that something is wrong; it has printed what.
#[derive(Debug)]
pub(crate) struct Ended(String);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Ended {}

/// Runs a command with our own output.
///
/// # Errors
/// [`Ended`] unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = status(command)?;
    if !status.success() {
        let program = command.get_program().display();
        return Err(Ended(format!("{program} ended with {status}")).into());
    }
    Ok(())
}

/// Runs a command with our own output; the code that it ended with, and 1 where a signal ended it.
///
/// # Errors
/// When it cannot be run.
pub(crate) fn exit_code(command: &mut Command) -> anyhow::Result<ExitCode> {
    let code = status(command)?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(says_whose_it_is) {
            command.env_remove(name);
        }
    }
    command
        .status()
        .with_context(|| format!("cannot run {command:?}"))
}

/// Whether a variable is what `cargo run` tells this program of its own package. Build scripts that heed
/// it (of `ring`, on which half of everything depends) would run again, and all of that be built again,
/// wherever it comes and goes.
fn says_whose_it_is(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_told_of_this_package_is_told_to_nobody() {
        // As cargo tells whoever runs this test.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let ended = |name: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("test -z \"${name}\"")]);
            exit_code(&mut command).expect("it ran")
        };
        assert_eq!(ended("CARGO_MANIFEST_DIR"), ExitCode::SUCCESS);
        assert_eq!(ended("CARGO_PKG_NAME"), ExitCode::SUCCESS);
        assert_ne!(ended("PATH"), ExitCode::SUCCESS);
    }

    #[test]
    fn the_code_of_a_program_that_speaks_for_itself_is_passed_on() {
        let run = |script: &str| exit_code(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!(run("exit 0"), ExitCode::SUCCESS);
        assert_eq!(run("exit 64"), ExitCode::from(64));
        assert_eq!(run("kill -KILL $$"), ExitCode::FAILURE);
        assert!(exit_code(&mut Command::new("/no/such/program")).is_err());
    }
}
