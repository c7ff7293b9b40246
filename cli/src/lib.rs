//! The `banyan` command: what runs things (`up`, `demo`, `gateway`, `service`, `log`) and what
//! operators ask and tell a running system (the verbs). A verb is an HTTP call to the gateway's
//! admin port or to a service's `/ops`; nothing here reaches into a database, except `log restore`,
//! which is for a log that is lost.

pub mod arguments;
pub mod client;
pub mod demo;
pub mod endpoints;
pub mod output;
pub mod parts;
pub mod up;
pub mod verbs;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use chassis::{process, telemetry};
use telemetry::Format;

/// Carries out a parsed command line.
pub fn run(arguments: Arguments) -> ExitCode {
    let Arguments { global, command } = arguments;
    // People read what a verb prints; its own log lines are for those who ask for them.
    let filter = match command {
        Command::Verb(_) | Command::Demo(_) | Command::Log { verb: Some(_), .. } => "warn",
        _ => "info",
    };
    let parts = match &command {
        Command::Up(_) => parts::ALL.as_slice(),
        Command::Gateway(_) => &["gateway"],
        Command::Log { verb: None, .. } => &["log"],
        Command::Service(service) => parts::named(&service.name),
        Command::Demo(_) | Command::Verb(_) | Command::Log { verb: Some(_), .. } => &[],
    };
    telemetry::init(Format::detect(), filter, parts);
    process::run(async move |shutdown| {
        let config = global.config.as_deref();
        match command {
            Command::Up(up) => up::run(up, &global, shutdown).await,
            Command::Demo(demo) => demo::run(demo, &global, shutdown).await,
            Command::Gateway(gateway) => parts::gateway(&gateway, config, shutdown).await,
            Command::Service(service) => parts::service(&service, config, shutdown).await,
            Command::Log {
                verb: None,
                instead,
            } => parts::log(instead, config, shutdown).await,
            Command::Log {
                verb: Some(verb), ..
            } => verbs::run_log(verb, &global).await,
            Command::Verb(verb) => verbs::run(verb, &global).await,
        }
    })
}
