//! `banyan-admin`: the admin service as a process of its own.

use std::process::ExitCode;

use admin::Config;
use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use service::Shared;

#[derive(Parser)]
#[command(name = "banyan-admin", version, about = "Question curation")]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["admin"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => admin::check(&config),
            Task::Migrate => admin::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
                admin::run(config, shared, shutdown).await
            }
        }
    })
}
