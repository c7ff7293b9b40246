//! What operators ask and tell a running system.

mod asking;
pub(crate) mod audit;
mod consumers;
mod dlq;
mod doctor;
mod events;
mod flags;
mod keys;
mod log;
mod personal;
mod routes;
mod sagas;
pub(crate) mod sync;

use clap::Subcommand;

pub use self::log::LogVerb;

use crate::{arguments::Global, client::Client, endpoints::Endpoints, output::Format};

/// The operators' verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The gateway's routes.
    #[command(subcommand)]
    Routes(routes::Routes),
    /// The flags that decide who goes to the candidate.
    #[command(subcommand)]
    Flags(flags::Flags),
    /// The log.
    #[command(subcommand)]
    Events(events::Events),
    /// Readers of the log, in every service.
    #[command(subcommand)]
    Consumers(consumers::Consumers),
    /// Parked events (dead letters), in every service.
    #[command(subcommand)]
    Dlq(dlq::Dlq),
    /// Sagas.
    #[command(subcommand)]
    Sagas(sagas::Sagas),
    /// The monolith's data on the new side.
    #[command(subcommand)]
    Sync(sync::Sync),
    /// The keys that access tokens are signed with.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Personal data in events, and its erasure.
    #[command(subcommand)]
    Personal(personal::Personal),
    /// Compare the log with every service's state.
    Audit(audit::Audit),
    /// Look for what is wrong and say what to do.
    Doctor(doctor::Doctor),
}

/// What a verb works with.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) format: Format,
    pub(crate) global: Global,
}

/// Carries out one verb.
///
/// # Errors
/// What the system refused, or that it does not answer.
pub async fn run(verb: Verb, global: &Global) -> anyhow::Result<()> {
    // These read a file and need no running system.
    match &verb {
        Verb::Routes(routes::Routes::Check(check)) => return check.run(global.format()),
        Verb::Personal(personal::Personal::NewKey(new)) => return new.run(global.format()),
        Verb::Sagas(sagas::Sagas::Simulate(simulate)) => return simulate.run(global.format()),
        _ => {}
    }
    let context = context(global)?;
    match verb {
        Verb::Routes(routes) => routes.run(&context).await,
        Verb::Flags(flags) => flags.run(&context).await,
        Verb::Events(events) => events.run(&context).await,
        Verb::Consumers(consumers) => consumers.run(&context).await,
        Verb::Dlq(dlq) => dlq.run(&context).await,
        Verb::Sagas(sagas) => sagas.run(&context).await,
        Verb::Sync(sync) => sync.run(&context).await,
        Verb::Keys(keys) => keys.run(&context).await,
        Verb::Personal(personal) => personal.run(&context).await,
        Verb::Audit(audit) => audit.run(&context).await,
        Verb::Doctor(doctor) => doctor.run(&context).await,
    }
}

/// Carries out one verb of the log.
///
/// # Errors
/// What the system refused, or that it does not answer.
pub async fn run_log(verb: LogVerb, global: &Global) -> anyhow::Result<()> {
    match verb {
        // The log is lost: there is nobody to ask.
        LogVerb::Restore(restore) => restore.run(&global.actor(), global.format()).await,
        LogVerb::Ask(question) => question.run(&context(global)?).await,
    }
}

fn context(global: &Global) -> anyhow::Result<Context> {
    let endpoints = Endpoints::find(global.config.as_deref(), &global.data_dir)?;
    Ok(Context {
        client: Client::new(endpoints, &global.actor())?,
        format: global.format(),
        global: global.clone(),
    })
}
