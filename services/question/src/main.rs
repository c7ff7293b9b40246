//! `banyan-question`: the question service as a process of its own.

use std::process::ExitCode;

use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use question::Config;
use service::Shared;

#[derive(Parser)]
#[command(
    name = "banyan-question",
    version,
    about = "Questions as players see them"
)]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["question"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => question::check(&config),
            Task::Migrate => question::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
                question::run(config, shared, shutdown).await
            }
        }
    })
}
