//! `banyan-auth`: the auth service as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use auth::Config;
use chassis::{process, telemetry};
use clap::Parser;
use service::Shared;

#[derive(Parser)]
#[command(name = "banyan-auth", version, about = "Accounts and access tokens")]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_AUTH__… variables win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info");
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
        auth::run(config, shared, shutdown).await
    })
}
