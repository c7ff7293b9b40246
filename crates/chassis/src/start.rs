//! What the binary of every part can be told, spelled alike everywhere.
//!
//! A part runs, or does one thing instead and exits: 0 done, 1 failed, 64 misused.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, FromArgMatches, error::ErrorKind};

use crate::{
    Shutdown,
    config::Faults,
    probe,
    process::{self, MISUSED},
    telemetry,
};

/// A part of the system, made from its configuration.
pub trait Part: Sized {
    /// Its name; its own binary is called `banyan-` and that.
    const NAME: &'static str;
    /// One sentence about it.
    const ABOUT: &'static str;

    /// Reads its configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn load(file: Option<&Path>) -> Result<Self, Faults>;

    /// Where it serves its health.
    fn listen(&self) -> SocketAddr;

    /// Brings the tables of its database up to date.
    ///
    /// # Errors
    /// When the database cannot be reached, or a migration fails.
    fn migrate(&self) -> impl Future<Output = anyhow::Result<()>>;

    /// Runs until the shutdown.
    ///
    /// # Errors
    /// What it could not start with, naming the setting; or the first of its parts that failed.
    fn run(self, shutdown: Shutdown) -> impl Future<Output = anyhow::Result<()>>;
}

/// Reads a part's configuration, and does with it what the task says.
///
/// # Errors
/// All faults of the configuration, whatever the task; else that the task failed.
pub async fn perform<P: Part>(
    task: Task,
    config: Option<&Path>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let part = P::load(config)?;
    match task {
        Task::Check => Ok(()),
        Task::Migrate => part.migrate().await,
        Task::Probe => probe::ready(part.listen()).await,
        Task::Run => part.run(shutdown).await,
    }
}

/// The whole life of a part's own process.
pub fn main<P: Part>() -> ExitCode {
    let start = command::<P>()
        .try_get_matches()
        .and_then(|matches| Start::from_arg_matches(&matches));
    let start = match start {
        Ok(start) => start,
        Err(error) => return explain(&error).into(),
    };
    telemetry::init(telemetry::Format::detect(), "info", &[P::NAME]);
    process::run(async move |shutdown| {
        perform::<P>(start.instead.task(), start.config.as_deref(), shutdown).await
    })
}

fn command<P: Part>() -> clap::Command {
    let program = format!("banyan-{}", P::NAME);
    // All crates have one version.
    let command = clap::Command::new(P::NAME)
        .display_name(&program)
        .bin_name(program)
        .version(env!("CARGO_PKG_VERSION"))
        .about(P::ABOUT);
    Start::augment_args(command)
}

/// What a part's own binary takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Start {
    /// Configuration file, TOML or YAML; BANYAN_…__… variables of this part win over it.
    #[arg(long, value_name = "FILE", env = "BANYAN_CONFIG")]
    pub config: Option<PathBuf>,
    /// What to do instead of running.
    #[command(flatten)]
    pub instead: Instead,
}

/// What a part can do instead of running.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(id = "instead", multiple = false)]
pub struct Instead {
    /// Only check the configuration: all faults at once and exit 64, or 0.
    #[arg(long)]
    check: bool,
    /// Only bring the tables of its database up to date: exit 0 once they are. May run several
    /// times, also at once.
    #[arg(long)]
    migrate_only: bool,
    /// Only ask the process that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long)]
    probe: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Run until the shutdown.
    Run,
    /// Check the configuration.
    Check,
    /// Bring the tables up to date.
    Migrate,
    /// Ask the running process whether it is ready.
    Probe,
}

impl Instead {
    /// What to do.
    pub fn task(self) -> Task {
        match self {
            Self { check: true, .. } => Task::Check,
            Self {
                migrate_only: true, ..
            } => Task::Migrate,
            Self { probe: true, .. } => Task::Probe,
            Self { .. } => Task::Run,
        }
    }
}

/// Reads the command line; help and version end the process with 0, anything wrong with 64.
pub fn parse<A: clap::Parser>() -> A {
    A::try_parse().unwrap_or_else(|error| std::process::exit(explain(&error).into()))
}

/// Prints what clap has to say, and names the exit code: help and version are no errors; anything
/// else is misuse (64).
pub fn explain(error: &clap::Error) -> u8 {
    // Nothing can be done about a closed standard error.
    error.print().ok();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => MISUSED,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        start: Start,
    }

    fn task(line: &[&str]) -> Result<Task, u8> {
        Arguments::try_parse_from([&["part"], line].concat())
            .map(|arguments| arguments.start.instead.task())
            .map_err(|error| explain(&error))
    }

    #[test]
    fn a_part_runs_unless_told_otherwise() {
        assert_eq!(task(&[]), Ok(Task::Run));
        assert_eq!(task(&["--check", "--config", "x"]), Ok(Task::Check));
        assert_eq!(task(&["--migrate-only"]), Ok(Task::Migrate));
        assert_eq!(task(&["--probe"]), Ok(Task::Probe));
    }

    #[test]
    fn two_things_at_once_and_unknown_ones_are_misuse() {
        assert_eq!(task(&["--check", "--migrate-only"]), Err(MISUSED));
        assert_eq!(task(&["--migrate"]), Err(MISUSED));
        assert_eq!(task(&["--help"]), Err(0));
    }
}
