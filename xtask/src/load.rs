//! `cargo xtask load`: load on the whole system, optimised, by the programs as they are shipped.

use std::process::{Command, ExitCode};

use crate::{
    step::{exit_code, succeed},
    workspace::Workspace,
};

/// Builds `banyan` and the generator, then runs the latter, which finds the former beside itself; its
/// exit code: 0 all bars passed, 1 not, 64 misused.
///
/// # Errors
/// When either does not build or run.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.args(["--package", "cli", "--package", "load"]);
    succeed(build.current_dir(&workspace.root))?;
    let program = workspace.metadata.target_directory.join("release/load");
    exit_code(
        Command::new(program)
            .args(arguments)
            .current_dir(&workspace.root),
    )
}
