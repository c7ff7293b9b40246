//! The whole system as its users see it: the `banyan` binary, in both forms, over HTTP.

mod compose;
mod contracts;
mod described;
mod distributed;
mod drills;
mod embedded;
mod faults;
mod guide;
mod load;
mod observability;
mod outage;
mod parity;
mod player;
mod rolling;
mod runbooks;
mod story;
mod traced;
mod verbs;

use std::{path::Path, process::Output, time::Duration};

/// Long enough for a loaded machine with two cores; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) const BANYAN: &str = env!("CARGO_BIN_EXE_banyan");

/// Runs one `banyan` command to its end.
pub(crate) async fn banyan(folder: &Path, arguments: &[&str]) -> Output {
    tokio::process::Command::new(BANYAN)
        .args(arguments)
        .current_dir(folder)
        .output()
        .await
        .expect("banyan starts")
}

/// Runs one `banyan` verb with `--json` and reads what it prints.
pub(crate) async fn verb(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let mut all = vec!["--json", "--actor", "tester"];
    all.extend_from_slice(arguments);
    let output = banyan(folder, &all).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "banyan {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}
