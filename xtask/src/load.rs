//! `cargo xtask load`: load on the whole system, optimised, by the programs as they are shipped.

use std::process::Command;

use crate::{step::succeed, workspace::Workspace};

/// Builds `banyan` and the generator, then runs the latter, which finds the former beside itself.
///
/// # Errors
/// When either does not build, or a bar is missed.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.args(["--package", "cli", "--package", "load"]);
    succeed(build.current_dir(&workspace.root))?;
    let program = workspace.metadata.target_directory.join("release/load");
    succeed(
        Command::new(program)
            .args(arguments)
            .current_dir(&workspace.root),
    )
}
