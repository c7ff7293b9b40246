//! `banyan-quiz`: the quiz service as a process of its own.

use std::process::ExitCode;

use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use quiz::Config;
use service::Shared;

#[derive(Parser)]
#[command(
    name = "banyan-quiz",
    version,
    about = "Answers, stats and the answer-submission saga"
)]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["quiz"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => quiz::check(&config),
            Task::Migrate => quiz::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
                quiz::run(config, shared, shutdown).await
            }
        }
    })
}
