//! `banyan-maintenance`: the maintenance service as a process of its own.

use std::process::ExitCode;

use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use maintenance::Config;
use service::Shared;

#[derive(Parser)]
#[command(name = "banyan-maintenance", version, about = "Scheduled work")]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["maintenance"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => maintenance::check(&config),
            Task::Migrate => maintenance::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
                maintenance::run(config, shared, shutdown).await
            }
        }
    })
}
