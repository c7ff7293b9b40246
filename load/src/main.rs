//! `cargo xtask load`.

use std::{io::Write, process::ExitCode};

use clap::{Parser, error::ErrorKind};
use load::{Arguments, mix::Faults, report::markdown};

/// The exit code of a misused command.
const MISUSED: u8 = 64;

// One thread: a generator that wanders over all processors would take them from the system.
#[tokio::main(flavor = "current_thread")]
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
    match load::run(&arguments).await {
        Ok(run) => {
            let text = if arguments.json {
                serde_json::to_string_pretty(&run).unwrap_or_default()
            } else {
                markdown::summary(&run)
            };
            // Whoever closed standard output does not want it; the report is written.
            writeln!(std::io::stdout(), "{text}").ok();
            eprintln!("the report is in {}", arguments.report.display());
            ExitCode::from(u8::from(!run.passed()))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<Faults>() { MISUSED } else { 1 })
        }
    }
}
