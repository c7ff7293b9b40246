//! `banyan-quiz`: the quiz service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<quiz::Config>()
}
