//! `chaos --minutes N --seed S`: breaks the distributed form while clients play, and audits it.
//!
//! Exits with 0 when all is well, 1 when something was found or could not be run, 64 when misused, and 130 on Ctrl-C;
//! whatever it started has ended by then.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use chaos::{Options, Outcome};
use clap::{Parser, error::ErrorKind};

/// The exit code of a misused command.
const MISUSED: u8 = 64;

/// Ended by Ctrl-C, as shells say it.
const INTERRUPTED: u8 = 130;

/// What to run.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how long clients play and things break.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// What the faults and the clients' choices follow from; one that is not given is drawn.
    #[arg(long)]
    seed: Option<u64>,
    /// The program; else the one beside this one.
    #[arg(long)]
    banyan: Option<PathBuf>,
    /// Where the history and the output of the parts are left when something is found.
    #[arg(long, default_value = "target/chaos")]
    keep: PathBuf,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done about a closed standard error.
            error.print().ok();
            let is_help = error.kind() == ErrorKind::DisplayHelp;
            return ExitCode::from(if is_help { 0 } else { MISUSED });
        }
    };
    match options(&arguments) {
        Ok(options) => break_it(&options, arguments.minutes).await,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(MISUSED)
        }
    }
}

fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let banyan = match &arguments.banyan {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("banyan"),
    };
    let is_there = banyan.is_file();
    anyhow::ensure!(is_there, "there is no {} (--banyan)", banyan.display());
    let length = Duration::try_from_secs_f64(arguments.minutes * 60.0);
    Ok(Options {
        seed: arguments.seed.unwrap_or_else(rand::random),
        length: length.context("--minutes is no time that can pass")?,
        banyan,
        keep: arguments.keep.clone(),
    })
}

async fn break_it(options: &Options, minutes: f64) -> ExitCode {
    // Dropped at Ctrl-C, and everything that it started with it.
    let ran = tokio::select! {
        ran = chaos::run(options) => ran,
        _ = tokio::signal::ctrl_c() => {
            let kept = options.keep.display();
            eprintln!("interrupted; what was heard so far is in {kept}");
            return ExitCode::from(INTERRUPTED);
        }
    };
    let again = format!(
        "cargo xtask chaos --minutes {minutes} --seed {}",
        options.seed
    );
    let Outcome { report, findings } = match ran {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("error: {error:#}\nnothing is proven; to repeat it: {again}");
            return ExitCode::FAILURE;
        }
    };
    println!("{report}");
    if findings.is_empty() {
        println!("nothing is lost, and nothing is there twice");
        return ExitCode::SUCCESS;
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    eprintln!("{} findings; to repeat it: {again}", findings.len());
    ExitCode::FAILURE
}
