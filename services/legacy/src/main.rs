//! `banyan-legacy`: the monolith as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::start::main::<legacy::Config>()
}
