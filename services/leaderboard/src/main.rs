//! `banyan-leaderboard`: the leaderboard service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<leaderboard::Config>()
}
