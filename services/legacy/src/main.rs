//! `banyan-legacy`: the monolith as a process of its own.

use std::process::ExitCode;

use chassis::{
    probe, process,
    start::{self, Start, Task},
    telemetry,
};
use clap::Parser;
use legacy::Config;

#[derive(Parser)]
#[command(name = "banyan-legacy", version, about = "Node-Learn's monolith")]
struct Arguments {
    #[command(flatten)]
    start: Start,
}

fn main() -> ExitCode {
    let arguments: Arguments = start::parse();
    telemetry::init(telemetry::Format::detect(), "info", &["legacy"]);
    process::run(async |shutdown| {
        let config = Config::load(arguments.start.config.as_deref())?;
        match arguments.start.instead.task() {
            Task::Check => legacy::check(&config),
            Task::Migrate => legacy::migrate(&config).await,
            Task::Probe => probe::ready(config.listen).await,
            Task::Run => legacy::run(config, shutdown).await,
        }
    })
}
