//! `cargo xtask soak`: the gateway under everything at once, for longer than a test run has time.

use std::process::Command;

use anyhow::Context;

use crate::{step::succeed, workspace::Workspace};

/// How long, unless it is said: what is asked of a release.
const MINUTES: u64 = 10;

/// Runs the gateway's soak test for so many minutes; its figures go to standard output.
///
/// # Errors
/// When something was lost.
pub(crate) fn run(workspace: &Workspace, minutes: Option<u64>) -> anyhow::Result<()> {
    let seconds = minutes.unwrap_or(MINUTES).checked_mul(60);
    let seconds = seconds.context("so many minutes are beyond all counting")?;
    let mut command = Command::new("cargo");
    command.args(["test", "--locked", "--package", "gateway", "--test", "soak"]);
    command.args(["--", "--nocapture"]);
    command.env("BANYAN_SOAK_SECONDS", seconds.to_string());
    succeed(command.current_dir(&workspace.root))
}
