//! `banyan-quiz`: the quiz service as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use chassis::{process, telemetry};
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
    /// Configuration file, TOML or YAML; BANYAN_QUIZ__… variables win over it.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(telemetry::Format::detect(), "info");
    process::run(async |shutdown| {
        let config = Config::load(arguments.config.as_deref())?;
        let shared = Shared::connect(&config.log, config.nats.as_deref()).await?;
        quiz::run(config, shared, shutdown).await
    })
}
