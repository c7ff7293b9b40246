//! `banyan-maintenance`: the maintenance service as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use chassis::{process, telemetry};
use clap::Parser;
use maintenance::Config;
use service::Shared;

#[derive(Parser)]
#[command(name = "banyan-maintenance", version, about = "Scheduled work")]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_MAINTENANCE__… variables win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info");
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
        maintenance::run(config, shared, shutdown).await
    })
}
