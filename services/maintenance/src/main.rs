//! `banyan-maintenance`: the maintenance service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<maintenance::Config>()
}
