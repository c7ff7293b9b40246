//! `banyan-log`: the log process by itself.

use std::process::ExitCode;

use chassis::{
    net, probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use event_store::log_process::{self, Config};

#[derive(Parser)]
#[command(name = "banyan-log", version, about = "The log's process")]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["log"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => Ok(()),
            Task::Migrate => log_process::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => {
                let listener = net::bind(config.listen, "listen").await?;
                log_process::run(config, listener, shutdown).await
            }
        }
    })
}
