//! `banyan-admin`: the admin service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<admin::Config>()
}
