//! `cargo xtask`: what a developer and CI run over the whole workspace.

mod bench;
mod chaos;
mod contracts;
mod drills;
mod load;
mod soak;
mod step;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use anyhow::bail;

use crate::{step::Step, workspace::Workspace};

const USAGE: &str = "\
cargo xtask test [--only STEP]… [-- ARGUMENTS]
    Installs what the tests need, then runs, in this order: fmt, clippy, deny, tidy, docs, tests.
    --only STEP  only this step; may be repeated
    ARGUMENTS    go to the test runner (cargo nextest, or cargo test where nextest is missing)
cargo xtask bench NAME [-- ARGUMENTS]
    Measures: `cargo xtask bench` alone lists what there is.
cargo xtask load [ARGUMENTS]
    Puts load on the whole system and reports: docs/load.md; `cargo xtask load --help`.
cargo xtask chaos [--minutes N] [--seed S]
    Breaks the distributed form while clients play, and audits it: docs/proof.md. One minute and a drawn
    seed unless you say; `cargo xtask chaos --help`.
cargo xtask drills [-- ARGUMENTS]
    Runs every runbook against the fault that it is for, and writes docs/drills.md.
    ARGUMENTS    go to cargo nextest; some drills only, by `-E 'test(name)'`, write no report
cargo xtask soak [MINUTES]
    The gateway under changing load, deaths and edits; 10 minutes, or as many as you say.
cargo xtask contracts
    Renews docs/events from the types, and refuses a schema that would break its readers.
cargo xtask tidy
    The rules of this repository that no other tool knows.";

/// The exit code of a misused command.
const MISUSED: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match parse(&arguments) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error:#}\n\n{USAGE}");
            return ExitCode::from(MISUSED);
        }
    };
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Tidy,
    Drills {
        arguments: Vec<String>,
    },
    Contracts,
    Soak {
        minutes: Option<u64>,
    },
    Bench {
        name: Option<String>,
        arguments: Vec<String>,
    },
    Load {
        arguments: Vec<String>,
    },
    Chaos {
        arguments: Vec<String>,
    },
    Test {
        steps: Vec<Step>,
        runner_arguments: Vec<String>,
    },
}

fn parse(arguments: &[String]) -> anyhow::Result<Command> {
    let mut words = arguments.iter().map(String::as_str);
    let command = words.next();
    match command {
        None | Some("help" | "--help" | "-h") => return Ok(Command::Help),
        Some("tidy") => match words.next() {
            None => return Ok(Command::Tidy),
            Some(word) => bail!("`tidy` takes no {word:?}"),
        },
        Some("contracts") => match words.next() {
            None => return Ok(Command::Contracts),
            Some(word) => bail!("`contracts` takes no {word:?}"),
        },
        Some("soak") => return soak_of(words),
        Some("bench") => return bench_of(words),
        Some(name @ ("load" | "chaos")) => {
            // Two dashes may stand before them, as they must with `bench`.
            let arguments = words
                .enumerate()
                .filter(|(place, word)| (*place, *word) != (0, "--"));
            let arguments = arguments.map(|(_, word)| word.to_owned()).collect();
            return Ok(match name {
                "load" => Command::Load { arguments },
                _ => Command::Chaos { arguments },
            });
        }
        Some("drills") => {
            return match words.next() {
                None | Some("--") => Ok(Command::Drills {
                    arguments: words.map(ToOwned::to_owned).collect(),
                }),
                Some(word) => bail!("`drills` takes no {word:?}"),
            };
        }
        Some("test") => {}
        Some(word) => bail!("there is no command {word:?}"),
    }
    let mut steps = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--only" => match words.next() {
                Some(name) => steps.push(name.parse()?),
                None => bail!("--only needs a step: {}", Step::names()),
            },
            "--" => break,
            "--help" | "-h" => return Ok(Command::Help),
            word => bail!("`test` takes no {word:?}"),
        }
    }
    let runner_arguments = words.map(ToOwned::to_owned).collect();
    if steps.is_empty() {
        steps = Step::ALL.to_vec();
    }
    Ok(Command::Test {
        steps,
        runner_arguments,
    })
}

fn soak_of<'a>(mut words: impl Iterator<Item = &'a str>) -> anyhow::Result<Command> {
    let minutes = words.next().map(str::parse).transpose();
    match (minutes, words.next()) {
        (Ok(minutes), None) => Ok(Command::Soak { minutes }),
        _ => bail!("`soak` takes a number of minutes"),
    }
}

fn bench_of<'a>(mut words: impl Iterator<Item = &'a str>) -> anyhow::Result<Command> {
    let name = words.next().map(ToOwned::to_owned);
    match words.next() {
        None | Some("--") => Ok(Command::Bench {
            name,
            arguments: words.map(ToOwned::to_owned).collect(),
        }),
        Some(word) => bail!("`bench` takes no {word:?}"),
    }
}

/// What to end with; what is not well has been printed.
fn run(command: Command) -> anyhow::Result<ExitCode> {
    let done = ExitCode::SUCCESS;
    match command {
        Command::Help => {
            println!("{USAGE}");
            Ok(done)
        }
        Command::Bench { name: None, .. } => {
            println!("cargo xtask bench NAME\n{}", bench::names());
            Ok(done)
        }
        Command::Bench {
            name: Some(name),
            arguments,
        } => bench::run(&Workspace::find()?, &name, &arguments).map(|()| done),
        Command::Load { arguments } => load::run(&Workspace::find()?, &arguments),
        Command::Chaos { arguments } => chaos::run(&Workspace::find()?, &arguments),
        Command::Drills { arguments } => drills::run(&Workspace::find()?, &arguments).map(passed),
        Command::Contracts => contracts::renew(&Workspace::find()?).map(|()| done),
        Command::Soak { minutes } => soak::run(&Workspace::find()?, minutes).map(|()| done),
        Command::Tidy => tidy::run(&Workspace::find()?).map(|()| done),
        Command::Test {
            steps,
            runner_arguments,
        } => Ok(passed(step::run(
            &Workspace::find()?,
            &steps,
            &runner_arguments,
        ))),
    }
}

fn passed(all: bool) -> ExitCode {
    ExitCode::from(u8::from(!all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> anyhow::Result<Command> {
        parse(
            &line
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn test_alone_means_every_step() {
        let all = Command::Test {
            steps: Step::ALL.to_vec(),
            runner_arguments: vec![],
        };
        assert_eq!(parsed("test").unwrap(), all);
    }

    #[test]
    fn what_stands_behind_two_dashes_goes_to_the_runner() {
        let expected = Command::Test {
            steps: vec![Step::Fmt, Step::Tests],
            runner_arguments: vec!["-p".to_owned(), "bus".to_owned()],
        };
        assert_eq!(
            parsed("test --only fmt --only tests -- -p bus").unwrap(),
            expected
        );
    }

    #[test]
    fn load_and_chaos_take_their_arguments_with_and_without_two_dashes() {
        let arguments = vec!["--rate".to_owned(), "5".to_owned()];
        let expected = Command::Load { arguments };
        assert_eq!(parsed("load --rate 5").unwrap(), expected);
        assert_eq!(parsed("load -- --rate 5").unwrap(), expected);
        let arguments = vec!["--seed".to_owned(), "7".to_owned()];
        let expected = Command::Chaos { arguments };
        assert_eq!(parsed("chaos --seed 7").unwrap(), expected);
    }

    #[test]
    fn an_unknown_step_or_command_is_refused() {
        assert!(
            parsed("test --only nothing")
                .unwrap_err()
                .to_string()
                .contains("clippy")
        );
        assert!(parsed("test -p bus").is_err());
        assert!(parsed("paint").is_err());
        assert!(parsed("tidy up").is_err());
        assert!(parsed("contracts renew").is_err());
        assert!(parsed("bench leaderboard quickly").is_err());
        assert!(parsed("drills quickly").is_err());
        assert!(parsed("soak quickly").is_err());
        assert!(parsed("soak 5 minutes").is_err());
    }
}
