//! Runs a command with the servers that a whole test run shares: `with-servers COMMAND ARGUMENTS…`.
//!
//! It starts one private PostgreSQL, gives its URL to the command as `BANYAN_TEST_POSTGRES`, and
//! ends with the command's exit code. What it started is stopped however it ends.

use std::process::{Command, ExitCode};

use anyhow::Context;
use testkit::{POSTGRES_URL, Postgres, Process};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments
        .next()
        .context("usage: with-servers COMMAND ARGUMENTS…")?;
    // Ctrl-C reaches the command too, which ends in its own order; then we do.
    let _interrupts = signal(SignalKind::interrupt())?;
    let postgres = Postgres::start().await?;
    let mut command = Command::new(program);
    command.args(arguments).env(POSTGRES_URL, postgres.url());
    let status = Process::run(command)?;
    // A command that a signal ended has no code.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code))
}
