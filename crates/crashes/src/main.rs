//! A small system that is there to die: the log, a service with sagas, a service that takes part in
//! them, and a bus with a memory, in one process.
//!
//! It starts sagas like clients do, says on standard output which start it has acknowledged, lets
//! everything come to its end, retries what is parked, and ends. `BANYAN_CRASH_AT` makes it die on
//! the way; started again on the same databases it goes on. `tests/dying` does that at each point.

mod archiving;
mod beside;
mod load;
mod operator;
mod order;
mod system;
mod tally;
mod till;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use self::{load::drive, system::System};

/// What it works on.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// The log's database.
    #[arg(long)]
    pub(crate) log: String,
    /// The database of the service that owns the sagas.
    #[arg(long)]
    pub(crate) owner: String,
    /// The database of the service that takes part in them.
    #[arg(long)]
    pub(crate) till: String,
    /// The bus.
    #[arg(long)]
    pub(crate) nats: String,
    /// The first saga that a client asks for.
    #[arg(long)]
    pub(crate) from: u64,
    /// The saga after the last.
    #[arg(long)]
    pub(crate) until: u64,
    /// Names of consumers that read the log for the first time.
    #[arg(long)]
    pub(crate) newcomers: Vec<String>,
    /// Where events go that leave the log's database; absent: none do.
    #[arg(long)]
    pub(crate) archive: Option<PathBuf>,
    /// Seconds after which it gives up.
    #[arg(long)]
    pub(crate) patience: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    chassis::telemetry::init(chassis::telemetry::Format::Pretty, "off", &[]);
    let arguments = Arguments::parse();
    let system = System::open(&arguments).await?;
    let driven = async {
        drive(&system, arguments.from..arguments.until).await?;
        archiving::all_is_archived(&system.log, arguments.archive.as_deref()).await
    };
    let patience = Duration::from_secs(arguments.patience);
    let outcome = tokio::time::timeout(patience, driven).await;
    system.stop().await;
    match outcome {
        Ok(driven) => driven?,
        Err(_) => anyhow::bail!("it did not come to its end within {patience:?}"),
    }
    println!("finished");
    Ok(ExitCode::SUCCESS)
}
