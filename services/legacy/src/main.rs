//! `banyan-legacy`: the monolith as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use chassis::{process, telemetry};
use clap::Parser;
use legacy::Config;

#[derive(Parser)]
#[command(name = "banyan-legacy", version, about = "Node-Learn's monolith")]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_LEGACY__… variables win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info");
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        legacy::run(config, shutdown).await
    })
}
