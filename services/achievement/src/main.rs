//! `banyan-achievement`: the achievement service as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use achievement::Config;
use chassis::{probe, process, telemetry};
use clap::Parser;
use service::Shared;

#[derive(Parser)]
#[command(
    name = "banyan-achievement",
    version,
    about = "Badges that answers earn"
)]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_ACHIEVEMENT__… variables win over it.
    #[arg(long, env = "BANYAN_CONFIG")]
    config: Option<PathBuf>,
    /// Only ask the process that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["achievement"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        if arguments.probe {
            return probe::ready(config.listen).await;
        }
        let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
        achievement::run(config, shared, shutdown).await
    })
}
