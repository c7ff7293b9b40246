//! `banyan-auth`: the auth service as a process of its own.

use std::process::ExitCode;

use auth::Config;
use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use service::Shared;

#[derive(Parser)]
#[command(name = "banyan-auth", version, about = "Accounts and access tokens")]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["auth"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => auth::check(&config),
            Task::Migrate => auth::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
                auth::run(config, shared, shutdown).await
            }
        }
    })
}
