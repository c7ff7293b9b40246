//! `banyan-legacy`: the monolith as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use chassis::{probe, process, telemetry};
use clap::Parser;
use legacy::Config;

#[derive(Parser)]
#[command(name = "banyan-legacy", version, about = "Node-Learn's monolith")]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_LEGACY__… variables win over it.
    #[arg(long, env = "BANYAN_CONFIG")]
    config: Option<PathBuf>,
    /// Only ask the process that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["legacy"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        if arguments.probe {
            return probe::ready(config.listen).await;
        }
        legacy::run(config, shutdown).await
    })
}
