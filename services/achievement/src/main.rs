//! `banyan-achievement`: the achievement service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<achievement::Config>()
}
