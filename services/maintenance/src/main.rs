//! `banyan-maintenance`: the maintenance service as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use chassis::{probe, process, telemetry};
use clap::Parser;
use maintenance::Config;
use service::Shared;

#[derive(Parser)]
#[command(name = "banyan-maintenance", version, about = "Scheduled work")]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_MAINTENANCE__… variables win over it.
    #[arg(long, env = "BANYAN_CONFIG")]
    config: Option<PathBuf>,
    /// Only ask the process that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["maintenance"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        if arguments.probe {
            return probe::ready(config.listen).await;
        }
        let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
        maintenance::run(config, shared, shutdown).await
    })
}
