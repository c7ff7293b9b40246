//! `banyan-log [CONFIG]`: the log process by itself.

use std::{path::PathBuf, process::ExitCode};

use chassis::{net, process, telemetry};
use event_store::log_process::{self, Config};

fn main() -> ExitCode {
    telemetry::init(telemetry::Format::detect(), "info");
    process::run(async |shutdown| {
        let file = std::env::args_os().nth(1).map(PathBuf::from);
        let config = Config::load(file.as_deref())?;
        let listener = net::bind(config.listen, "listen").await?;
        log_process::run(config, listener, shutdown).await
    })
}
