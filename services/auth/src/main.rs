//! `banyan-auth`: the auth service as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use auth::Config;
use chassis::{probe, process, telemetry};
use clap::Parser;
use service::Shared;

#[derive(Parser)]
#[command(name = "banyan-auth", version, about = "Accounts and access tokens")]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_AUTH__… variables win over it.
    #[arg(long, env = "BANYAN_CONFIG")]
    config: Option<PathBuf>,
    /// Only ask the process that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["auth"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        if arguments.probe {
            return probe::ready(config.listen).await;
        }
        let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
        auth::run(config, shared, shutdown).await
    })
}
