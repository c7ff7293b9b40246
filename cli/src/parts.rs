//! The distributed form: one part of the system in a process of its own.

use std::{
    io::{self, Write},
    path::Path,
};

use chassis::{
    Shutdown,
    config::Faults,
    probe,
    start::{self, Instead, Task},
};
use event_store::log_process;

use crate::arguments;

/// The services that `banyan service` runs.
pub const NAMES: [&str; 8] = [
    "legacy",
    "auth",
    "question",
    "quiz",
    "achievement",
    "leaderboard",
    "admin",
    "maintenance",
];

/// Every part of the system, as `banyan up` runs them in one process.
pub const ALL: [&str; 10] = [
    "gateway",
    "log",
    "legacy",
    "auth",
    "question",
    "quiz",
    "achievement",
    "leaderboard",
    "admin",
    "maintenance",
];

/// The part of this name, as a list of one; an unknown one gives an empty list.
pub fn named(name: &str) -> &'static [&'static str] {
    let place = ALL.iter().position(|part| *part == name);
    place.map_or(&[], |place| &ALL[place..=place])
}

/// Runs a service until the shutdown, or does what it is told instead.
///
/// # Errors
/// All faults of its configuration, the part of it that failed, or that it is not ready.
pub async fn service(
    arguments: &arguments::Service,
    config: Option<&Path>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let task = arguments.instead.task();
    match arguments.name.as_str() {
        "legacy" => start::perform::<legacy::Config>(task, config, shutdown).await,
        "auth" => service::perform::<auth::Config>(task, config, shutdown).await,
        "question" => service::perform::<question::Config>(task, config, shutdown).await,
        "quiz" => service::perform::<quiz::Config>(task, config, shutdown).await,
        "achievement" => service::perform::<achievement::Config>(task, config, shutdown).await,
        "leaderboard" => service::perform::<leaderboard::Config>(task, config, shutdown).await,
        "admin" => service::perform::<admin::Config>(task, config, shutdown).await,
        "maintenance" => service::perform::<maintenance::Config>(task, config, shutdown).await,
        other => anyhow::bail!("there is no service {other:?}; known: {}", NAMES.join(", ")),
    }
}

/// Checks the gateway's configuration, runs the gateway until the shutdown, or asks the one that runs
/// whether it is ready.
///
/// # Errors
/// All faults of its configuration, a taken port, the part of it that failed, or that it is not ready.
pub async fn gateway(
    arguments: &arguments::Gateway,
    config: Option<&Path>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let missing = || {
        Faults(vec![
            "--config: name the gateway's configuration file".to_owned(),
        ])
    };
    let file = config.ok_or_else(missing)?;
    let config = gateway_config(file)?;
    if arguments.check {
        let (routes, flags) = (config.routes.len(), config.flags.len());
        writeln!(
            io::stdout(),
            "{}: good ({routes} routes, {flags} flags)",
            file.display()
        )?;
        return Ok(());
    }
    if arguments.life.probe {
        return probe::ready(config.admin_listen).await;
    }
    let ports = gateway::Ports::bind(&config).await?;
    let running = gateway::run(config, Some(file.to_owned()), None, ports, &shutdown).await?;
    let (data, admin) = (running.data_address(), running.admin_address());
    writeln!(
        io::stdout(),
        "The gateway serves http://{data}; operators: http://{admin}"
    )?;
    running.ended().await
}

/// Reads the configuration of the gateway that is run here.
///
/// # Errors
/// All its faults.
pub fn gateway_config(file: &Path) -> Result<gateway::Config, Faults> {
    gateway::Config::load(file).map_err(|faults| told(&faults))
}

/// Reads a file that a gateway somewhere else is to have; its secrets need not be here.
///
/// # Errors
/// All its faults.
pub fn gateway_file(file: &Path) -> Result<gateway::Config, Faults> {
    gateway::Config::load_for_elsewhere(file).map_err(|faults| told(&faults))
}

fn told(faults: &gateway::config::Faults) -> Faults {
    Faults(faults.0.iter().map(ToString::to_string).collect())
}

/// Runs the log's process until the shutdown, or does what it is told instead.
///
/// # Errors
/// All faults of its configuration, the part of it that failed, or that it is not ready.
pub async fn log(
    instead: Instead,
    config: Option<&Path>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let config = log_process::Config::load(config)?;
    match instead.task() {
        Task::Check => Ok(()),
        Task::Migrate => log_process::migrate(&config).await,
        Task::Probe => probe::ready(config.listen).await,
        Task::Run => {
            let listener = chassis::net::bind(config.listen, "listen").await?;
            log_process::run(config, listener, shutdown).await
        }
    }
}
