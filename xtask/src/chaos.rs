//! `cargo xtask chaos`: the distributed form under every fault there is, and the audit afterwards.

use std::process::{Command, ExitCode};

use crate::{
    step::{exit_code, succeed},
    tools,
    workspace::Workspace,
};

/// Builds `banyan` and the program that breaks it, then runs the latter, which finds the former beside
/// itself; its exit code: 0 nothing was found, 1 something was, 64 misused.
///
/// # Errors
/// When either does not build or run.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    tools::programs(workspace)?;
    let mut build = Command::new("cargo");
    build.args(["build", "--locked", "--quiet"]);
    build.args(["--package", "cli", "--package", "chaos"]);
    succeed(build.current_dir(&workspace.root))?;
    exit_code(
        Command::new(workspace.built("chaos"))
            .args(arguments)
            .current_dir(&workspace.root),
    )
}
