//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::{mix::Journey, schedule::Spread};

/// Puts a mix of players on the system at a fixed rate, measures, judges and reports.
///
/// Starts the system itself, in one of its forms, or aims at one that runs. Without --rate it looks
/// for the peak rate and then measures at half of it and at 80 %.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask load", max_term_width = 100)]
pub struct Arguments {
    /// Which form to start.
    #[arg(long, value_enum, default_value_t = Form::Embedded)]
    pub form: Form,
    /// Arrivals a second; without it, the peak is looked for.
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "find_peak")]
    pub rate: Option<f64>,
    /// Look for the peak rate, then measure at half of it and at 80 %: what is done without --rate.
    #[arg(long)]
    pub find_peak: bool,
    /// Measure what each journey costs by itself, at --rate or 20 a second.
    #[arg(long, conflicts_with_all = ["find_peak", "only"])]
    pub costs: bool,
    /// Seconds of each measurement.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Seconds of each step of the search.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub step: u64,
    /// Seconds before the first measurement, in which caches fill.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub warm_up: u64,
    /// The rate at which the search begins; the warm-up has it too.
    #[arg(long, value_name = "N", default_value_t = 100.0, value_parser = positive)]
    pub from: f64,
    /// Who plays and what they do; else the mix of `load/mix.toml`.
    #[arg(long, value_name = "FILE")]
    pub mix: Option<PathBuf>,
    /// Only this journey of the mix.
    #[arg(long, value_name = "JOURNEY", value_parser = journey)]
    pub only: Option<Journey>,
    /// How many players, instead of what the mix says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub players: Option<u32>,
    /// How arrivals are spread.
    #[arg(long, value_enum, default_value_t = Spread::Poisson)]
    pub spread: Spread,
    /// Arrivals that may wait for a player; more are dropped and make the run invalid. Without it,
    /// what comes in two seconds.
    #[arg(long, value_name = "N")]
    pub queue: Option<usize>,
    /// Percent of the players on the new side; 100 unless told, or with --target what it is.
    #[arg(long, value_name = "P", value_parser = percent)]
    pub percent: Option<f64>,
    /// The bar of an answer's p99, in milliseconds: at half of the peak, or at --rate.
    #[arg(long, value_name = "MS", default_value_t = 100.0, value_parser = positive)]
    pub p99: f64,
    /// Repeats a run: the same arrivals, journeys and choices. Printed by every run.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the report goes; the same as JSON and Markdown beside it.
    #[arg(
        long,
        value_name = "FILE.html",
        default_value = "target/load/report.html"
    )]
    pub report: PathBuf,
    /// Print JSON instead of the Markdown summary.
    #[arg(long)]
    pub json: bool,
    /// A running system's gateway instead of one of our own.
    #[arg(long, value_name = "URL", conflicts_with = "form")]
    pub target: Option<String>,
    /// With --target: where its parts listen, as the verbs take it with --config (of a `banyan up`,
    /// the `endpoints.toml` in its data folder). Without it flags stay as they are, and no audit.
    #[arg(long, value_name = "FILE", requires = "target")]
    pub operator: Option<PathBuf>,
    /// With --target: allow one that is not on this machine. It is put under load: ask first.
    #[arg(long, requires = "target")]
    pub not_loopback: bool,
    /// The `banyan` to start and to ask; else the one beside this program.
    #[arg(long, value_name = "FILE")]
    pub banyan: Option<PathBuf>,
}

/// In which form the system runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One process, SQLite files.
    Embedded,
    /// A process for each part, PostgreSQL, NATS.
    Distributed,
}

impl Form {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let is_good = (0.1..=100_000.0).contains(&number);
    is_good
        .then_some(number)
        .ok_or_else(|| "not from 0.1 to 100000".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let is_good = (0.0..=100.0).contains(&number);
    is_good
        .then_some(number)
        .ok_or_else(|| "not from 0 to 100".to_owned())
}

fn journey(name: &str) -> Result<Journey, String> {
    Journey::named(name).ok_or_else(|| {
        format!(
            "there is none; there are {}",
            Journey::ALL.map(Journey::name).join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("load").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(parsed("").is_ok());
        assert!(parsed("--form distributed --rate 50 --only answer").is_ok());
        for bad in [
            "--rate 0",
            "--rate 5 --find-peak",
            "--form embedded --target http://127.0.0.1:8080",
            "--operator file",
            "--percent 101",
            "--only wander",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
