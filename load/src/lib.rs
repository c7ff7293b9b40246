//! Load on the whole system: a mix of players who come at a fixed rate, latencies from when they
//! were due, a search for the peak, and a report that judges.
//!
//! `cargo xtask load` runs it; `docs/load.md` says how to read what it prints. It knows the system
//! as its users do, by its public API, and its operators, by the verbs of `banyan`.

pub mod arguments;
pub mod engine;
pub mod figures;
pub mod ledger;
pub mod machine;
pub mod measure;
pub mod mix;
pub mod outcome;
pub mod peak;
pub mod players;
pub mod process;
pub mod report;
pub mod run;
pub mod schedule;
pub mod site;
pub mod step;
pub mod system;
pub mod verdict;
pub mod world;

pub use arguments::Arguments;
pub use figures::Run;

use anyhow::Context;

use crate::mix::Mix;

/// Runs what the arguments ask for and writes the reports.
///
/// # Errors
/// [`mix::Faults`] for a bad mix; else when there was nothing to measure, or no place for a report.
pub async fn run(arguments: &Arguments) -> anyhow::Result<Run> {
    let mut mix = Mix::load(arguments.mix.as_deref())?;
    if let Some(journey) = arguments.only {
        mix = mix.only(journey);
    }
    if let Some(players) = arguments.players {
        mix.players = usize::try_from(players)?;
    }
    let run = run::run(arguments, mix).await?;
    let file = &arguments.report;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {} (--report)", folder.display()))?;
    }
    let write = |path: &std::path::Path, text: String| {
        std::fs::write(path, text)
            .with_context(|| format!("cannot write {} (--report)", path.display()))
    };
    write(file, report::html::page(&run))?;
    write(&file.with_extension("md"), report::markdown::summary(&run))?;
    write(
        &file.with_extension("json"),
        serde_json::to_string_pretty(&run)?,
    )?;
    Ok(run)
}
