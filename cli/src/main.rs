//! `banyan`: runs the whole system, or one part of it, and carries the operators' verbs.

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::arguments::Arguments::try_parse() {
        Ok(arguments) => cli::run(arguments),
        Err(error) => cli::arguments::explain(&error),
    }
}
