//! `banyan-gateway`: the strangler proxy by itself, without the rest of Banyan.

use std::{path::PathBuf, process::ExitCode};

use chassis::{Shutdown, config::Faults, probe, process, telemetry};
use clap::Parser;
use gateway::{Config, Ports, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Moves traffic from a monolith to new services, route by route and percent by percent.
#[derive(Parser)]
#[command(name = "banyan-gateway", version)]
struct Arguments {
    /// The configuration: TOML, or YAML by its ending. BANYAN_GATEWAY__… variables go over it.
    #[arg(long, env = "BANYAN_CONFIG")]
    config: PathBuf,
    /// Only report what is wrong with the configuration; exit 64 if anything is.
    #[arg(long)]
    check: bool,
    /// Only ask the gateway that runs with this configuration whether it is ready; exit 1 if not.
    #[arg(long, conflicts_with = "check")]
    probe: bool,
}

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => process::run(|shutdown| serve(arguments, shutdown)),
        Err(error) => {
            let misused = error.use_stderr();
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            if misused {
                ExitCode::from(process::MISUSED)
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}

async fn serve(arguments: Arguments, shutdown: Shutdown) -> anyhow::Result<()> {
    let config = Config::load(&arguments.config).map_err(Faults::from)?;
    if arguments.check {
        println!("{}: valid", arguments.config.display());
        return Ok(());
    }
    if arguments.probe {
        return probe::ready(config.admin_listen).await;
    }
    telemetry::init(telemetry::Format::detect(), "info", &["gateway"]);
    let ports = Ports::bind(&config).await?;
    let running = run(config, Some(arguments.config), None, ports, &shutdown).await?;
    tracing::info!(data = %running.data_address(), admin = %running.admin_address(), "listening");
    running.ended().await
}
