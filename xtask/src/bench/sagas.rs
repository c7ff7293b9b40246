//! `cargo xtask bench sagas`: the answer-submission saga of the whole system, in both of its forms,
//! beside other engines of durable workflows and beside its four writes by hand.

mod measures;
mod peers;
mod report;
mod verdict;

use std::path::Path;

use super::{figures, log, options, place};
use crate::workspace::Workspace;
use measures::What;
use peers::{Part, Peer, Programs};

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
    let target: &Path = workspace.metadata.target_directory.as_ref();
    let figures = measures::run(&programs, &options, &target.join("bench"))?;
    let place = place::place(options.repetitions, options.time);
    let page = report::markdown(&figures, &place);
    let plot = report::svg(&figures);
    log::keep(workspace, "sagas", options.is_everything(), &page, &plot)
}
