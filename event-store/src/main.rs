//! `banyan-log`: the log process by itself.

use std::{path::PathBuf, process::ExitCode};

use chassis::{net, probe, process, telemetry};
use clap::Parser;
use event_store::log_process::{self, Config};

#[derive(Parser)]
#[command(name = "banyan-log", version, about = "The log's process")]
struct Arguments {
    /// Configuration file, TOML or YAML; BANYAN_LOG__… variables win over it.
    #[arg(long, env = "BANYAN_CONFIG")]
    config: Option<PathBuf>,
    /// Only ask the process that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["log"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        if arguments.probe {
            return probe::ready(config.listen).await;
        }
        let listener = net::bind(config.listen, "listen").await?;
        log_process::run(config, listener, shutdown).await
    })
}
