//! `banyan-question`: the question service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<question::Config>()
}
