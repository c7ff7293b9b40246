//! `banyan-auth`: the auth service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<auth::Config>()
}
