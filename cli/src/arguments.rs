//! The command line.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::ExitCode,
};

use chassis::start::{self, Instead};
use clap::{Args, Parser, Subcommand};

use crate::{
    output::Format,
    verbs::{LogVerb, Verb},
};

/// Strangles a monolith: moves its traffic, route by route and percent by percent, to new
/// services; turns back when it must.
#[derive(Debug, Parser)]
#[command(
    name = "banyan",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// A file: the part's own configuration for `gateway`, `service` and `log`; for the verbs, one
    /// that says where the system listens. Without it the verbs find the `banyan up` of this folder.
    #[arg(long, global = true, env = "BANYAN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where `banyan up` keeps its data.
    #[arg(
        long,
        global = true,
        env = "BANYAN_DATA_DIR",
        value_name = "DIR",
        default_value = ".banyan"
    )]
    pub data_dir: PathBuf,
    /// Print JSON for programs; lists as {"items": […]}.
    #[arg(long, global = true)]
    pub json: bool,
    /// Who acts, for the record.
    #[arg(long, global = true, env = "BANYAN_ACTOR", value_name = "NAME")]
    pub actor: Option<String>,
}

impl Global {
    /// How answers are printed.
    pub fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::Table
        }
    }

    /// Who acts: `--actor`, else the login name.
    pub fn actor(&self) -> String {
        self.actor
            .clone()
            .or_else(|| std::env::var("USER").ok())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "operator".to_owned())
    }
}

/// What `banyan` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole system in this process: SQLite files, no servers needed.
    Up(Up),
    /// Watch the main job: players play while traffic moves, breaks, and comes back.
    Demo(Demo),
    /// Run the strangler proxy alone, in front of any monolith.
    Gateway(Gateway),
    /// Run one service of Node-Learn alone.
    Service(Service),
    /// Run the log's process (the publisher, and the log's /ops), or tell it of backups and restores.
    Log {
        /// What to tell it; absent: run it.
        #[command(subcommand)]
        verb: Option<LogVerb>,
        /// What to do instead of running.
        #[command(flatten)]
        instead: Instead,
    },
    /// Ask or tell a running system.
    #[command(flatten)]
    Verb(Verb),
}

/// `banyan up`
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Added to every port, so that several systems fit on one machine.
    #[arg(
        long,
        env = "BANYAN_PORT_OFFSET",
        value_name = "N",
        default_value_t = 0
    )]
    pub port_offset: u16,
    /// Events older than this leave the log's database for the archive's compressed files, as `90d`;
    /// without it all stay.
    #[arg(
        long,
        env = "BANYAN_RETENTION",
        value_name = "TIME",
        value_parser = event_store::log_process::duration
    )]
    pub retention: Option<std::time::Duration>,
}

/// `banyan demo`
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// How many players take part.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub players: u32,
    /// Answers per second, all players together.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub rate: u32,
    /// Seconds that each step lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub step: u64,
    /// Added to every port of the system that the demo starts.
    #[arg(
        long,
        env = "BANYAN_PORT_OFFSET",
        value_name = "N",
        default_value_t = 0
    )]
    pub port_offset: u16,
    /// Print lines instead of the live view.
    #[arg(long)]
    pub plain: bool,
}

/// `banyan gateway`
#[derive(Clone, Debug, Args)]
pub struct Gateway {
    /// Only check the configuration: all faults at once and exit 64, or 0.
    #[arg(long)]
    pub check: bool,
    /// Run, or ask.
    #[command(flatten)]
    pub life: Life,
}

/// `banyan service`
#[derive(Clone, Debug, Args)]
pub struct Service {
    /// Which one.
    #[arg(value_parser = crate::parts::NAMES)]
    pub name: String,
    /// What to do instead of running.
    #[command(flatten)]
    pub instead: Instead,
}

/// What the gateway takes as every other part does.
#[derive(Clone, Debug, Args)]
pub struct Life {
    /// Only ask the process that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long)]
    pub probe: bool,
}

/// Which part runs when no command is named, and so what `banyan --probe` asks: an image of this
/// binary is told its part once, and its health check needs no words of its own.
pub const PART: &str = "BANYAN_PART";

/// The command line with the command that `part` stands for (`log`, `gateway`, or a service's
/// name), where nothing was given but what the part does instead of running: a
/// probe, or a migration.
pub fn completed(given: Vec<OsString>, part: Option<&str>) -> Vec<OsString> {
    let words = match part {
        None | Some("") => return given,
        Some(part @ ("log" | "gateway")) => vec![part],
        Some(service) => vec!["service", service],
    };
    let instead = ["--probe", "--check", "--migrate-only"].map(OsStr::new);
    if given.iter().skip(1).any(|word| !instead.contains(&&**word)) {
        return given;
    }
    let mut given = given.into_iter();
    let program = given.next();
    let words = words.into_iter().map(OsString::from);
    program.into_iter().chain(words).chain(given).collect()
}

/// Prints what clap has to say: help and version are no errors; anything else is misuse (64).
pub fn explain(error: &clap::Error) -> ExitCode {
    ExitCode::from(start::explain(error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_part_from_the_environment_is_run_or_asked_unless_a_command_was_given() {
        let completed = |line: &str, part: &str| {
            let given = line.split_whitespace().map(OsString::from).collect();
            let all = super::completed(given, Some(part));
            all.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
        };
        assert_eq!(completed("banyan", "quiz"), "banyan service quiz");
        assert_eq!(completed("banyan --probe", "log"), "banyan log --probe");
        let migrates = "banyan service quiz --migrate-only";
        assert_eq!(completed("banyan --migrate-only", "quiz"), migrates);
        assert_eq!(completed("banyan doctor", "quiz"), "banyan doctor");
        assert_eq!(completed("banyan", ""), "banyan");
        let line = completed("banyan --probe", "gateway");
        let parsed = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert!(matches!(
            parsed.command,
            Command::Gateway(Gateway {
                life: Life { probe: true },
                ..
            })
        ));
    }

    #[test]
    fn every_verb_of_the_interface_is_there() {
        let mut command = Arguments::command();
        command.build();
        let has = |verb: &str, sub: &str| {
            command
                .find_subcommand(verb)
                .is_some_and(|verb| sub.is_empty() || verb.find_subcommand(sub).is_some())
        };
        for (verb, subs) in [
            ("up", ""),
            ("demo", ""),
            ("gateway", ""),
            ("service", ""),
            ("log", "new-epoch epochs backed-up restore"),
            ("routes", "list check explain diff apply"),
            ("flags", "list set rollback restore history"),
            ("events", "tail show trace stats"),
            (
                "consumers",
                "list replay pause resume adopt rebuild swap abandon",
            ),
            ("dlq", "list show retry discard"),
            (
                "sagas",
                "list show retry resolve compensate abandon policy simulate",
            ),
            ("keys", "list rotate"),
            ("personal", "show erase rotate new-key"),
            ("audit", ""),
            ("doctor", ""),
        ] {
            for sub in subs.split(' ') {
                assert!(has(verb, sub), "{verb} {sub}");
            }
        }
    }
}
