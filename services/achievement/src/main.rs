//! `banyan-achievement`: the achievement service as a process of its own.

use std::process::ExitCode;

use achievement::Config;
use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use service::Shared;

#[derive(Parser)]
#[command(
    name = "banyan-achievement",
    version,
    about = "Badges that answers earn"
)]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["achievement"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => achievement::check(&config),
            Task::Migrate => achievement::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
                achievement::run(config, shared, shutdown).await
            }
        }
    })
}
