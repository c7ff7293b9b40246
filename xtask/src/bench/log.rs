//! `cargo xtask bench log`: the log beside other event stores and beside rows written by hand, on the
//! same servers, durably, in one run.

mod measures;
mod peers;
mod report;
mod verdict;

use std::{fs, path::Path};

use super::{figures, options, place};
use crate::workspace::Workspace;
use measures::{Bench, Part, What};
use peers::{Peer, Programs};

/// All samples.
type Figures = figures::Figures<What, Peer>;
type Options = options::Options<Part, Peer>;

/// Measures, prints the page, and keeps it.
///
/// # Errors
/// When the arguments are wrong, a program is missing, or one that is measured breaks.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    let options = Options::read(arguments)?;
    let programs = Programs::ready(workspace, &options)?;
    let mut bench = Bench::new(&programs, &options)?;
    for part in &options.parts {
        bench.run(*part)?;
    }
    let place = place::place(options.repetitions, options.time);
    let page = report::markdown(&bench.figures, &place);
    let plot = report::svg(&bench.figures);
    keep(workspace, "log", options.is_everything(), &page, &plot)
}

/// Prints the page and writes it with its plot, into the documents where everything was measured.
///
/// # Errors
/// When a folder is not writable.
pub(super) fn keep(
    workspace: &Workspace,
    name: &str,
    is_everything: bool,
    page: &str,
    plot: &str,
) -> anyhow::Result<()> {
    println!("\n{page}");
    let target: &Path = workspace.metadata.target_directory.as_ref();
    let mut folders = vec![target.join("bench")];
    if is_everything {
        folders.push(workspace.root.join("docs/benchmarks"));
    }
    for folder in folders {
        fs::create_dir_all(&folder)?;
        let file = folder.join(name).with_extension("md");
        fs::write(&file, page)?;
        fs::write(file.with_extension("svg"), plot)?;
        println!("    written: {}", file.display());
    }
    Ok(())
}
