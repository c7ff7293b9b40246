//! What a deployment stands on, held against the real binaries: the migration command, the
//! Kubernetes manifests, the workflows and the scripts. Nothing here needs a cluster.

mod cluster;
mod configuration;
mod manifests;
mod migrations;
mod network;
mod operators;
mod pipeline;
mod postgres;
mod scripts;

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

/// Long enough for a loaded machine with two cores; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) const BANYAN: &str = env!("CARGO_BIN_EXE_banyan");

/// The parts of the distributed form that have a database, each with the migration sets in it
/// (folders of `migrations/`).
pub(crate) const PARTS: [(&str, &[&str]); 9] = [
    ("log", &["log"]),
    ("legacy", &["legacy"]),
    ("auth", &["auth", "outbox"]),
    ("question", &["question", "departed", "outbox"]),
    ("quiz", &["quiz", "departed", "sagas", "outbox"]),
    (
        "achievement",
        &["achievement", "ledger", "departed", "outbox"],
    ),
    (
        "leaderboard",
        &["leaderboard", "ledger", "departed", "outbox"],
    ),
    ("admin", &["admin", "outbox"]),
    ("maintenance", &["maintenance", "outbox"]),
];

/// A file or folder of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path)
}

/// A `banyan` command for one part, which sees these settings and no others.
pub(crate) fn banyan(part: &str, settings: &[(String, String)]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(BANYAN);
    match part {
        "log" | "gateway" => command.arg(part),
        service => command.args(["service", service]),
    };
    command.env_clear().envs(settings.iter().cloned());
    command
}

/// What a program printed, for messages.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// Runs a program to its end beside the test.
pub(crate) async fn run(mut command: Command) -> Output {
    let running = tokio::task::spawn_blocking(move || command.output());
    running.await.expect("no panic").expect("it starts")
}
