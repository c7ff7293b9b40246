//! `banyan`: runs the whole system, or one part of it, and carries the operators' verbs.

use std::process::ExitCode;

use clap::Parser as _;
use cli::arguments::{self, Arguments};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let part = std::env::var(arguments::PART).ok();
    let line = arguments::completed(std::env::args_os().collect(), part.as_deref());
    match Arguments::try_parse_from(line) {
        Ok(arguments) => cli::run(arguments),
        Err(error) => arguments::explain(&error),
    }
}
