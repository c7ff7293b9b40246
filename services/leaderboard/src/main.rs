//! `banyan-leaderboard`: the leaderboard service as a process of its own.

use std::process::ExitCode;

use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use leaderboard::Config;
use service::Shared;

#[derive(Parser)]
#[command(
    name = "banyan-leaderboard",
    version,
    about = "Scores per player and quiz mode"
)]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["leaderboard"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => leaderboard::check(&config),
            Task::Migrate => leaderboard::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
                leaderboard::run(config, shared, shutdown).await
            }
        }
    })
}
