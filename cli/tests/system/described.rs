//! What every service says of its own paths is true: schemathesis reads each `/openapi.json`, sends
//! what it allows and what it forbids, and holds every answer against it. The same for legacy,
//! which answers all of the services' paths, and for the whole through the gateway, with all
//! traffic on the new side.

use std::path::Path;

use serde_json::Value;
use testkit::Process;

use crate::{PATIENCE, embedded::Up, player::Player};

/// What is checked, and what is not, with reasons.
const CONFIGURATION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/system/described/schemathesis.toml"
);

/// The same cases in every run; printed with a failure, to be changed by whoever searches longer.
const SEED: &str = "20261120";

/// Cases of each operation in the phases that make them up. More of them find little more: most
/// of what a run finds comes from the phase that walks along every bound of the document.
const EXAMPLES: &str = "20";

/// The flags of the system that `up` starts.
const FLAGS: [&str; 5] = [
    "auth-cutover",
    "quiz-cutover",
    "curation-reads",
    "curation-writes",
    "maintenance-cutover",
];

/// What a run counted.
#[derive(Debug)]
struct Count {
    operations: u64,
    cases: u64,
}

/// Runs schemathesis over the document at `base` with the administrator's token.
async fn checked(up: &Up, base: &str) -> Count {
    let curator = Player::curator(&up.gateway(), &up.administrators_password()).await;
    let report = up.folder.path().join("schemathesis.json");
    let token = format!("Authorization: Bearer {}", curator.session.access_token);
    let document = format!("{base}/openapi.json");
    let program = testkit::python("schemathesis").expect("installed by the test command");
    let mut command = std::process::Command::new(program);
    command
        .args(["--config-file", CONFIGURATION, "run", &document])
        .args([
            "--header",
            &token,
            "--seed",
            SEED,
            "--max-examples",
            EXAMPLES,
        ])
        .args(["--generation-database", "none", "--no-color"])
        .args(["--report-json-path".as_ref(), report.as_os_str()])
        .current_dir(up.folder.path());
    let mut process = Process::spawn_command(command).expect("schemathesis starts");
    let status = process.exit(PATIENCE * 7).await;
    assert!(
        status.success(),
        "{document}, seed {SEED}:\n{}",
        process.output().join("\n")
    );
    let count = counted(&report);
    println!("{document}: {count:?}");
    count
}

fn counted(report: &Path) -> Count {
    let text = std::fs::read_to_string(report).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let number = |pointer: &str| {
        report
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no {pointer} in {report}"))
    };
    Count {
        operations: number("/operations/tested"),
        cases: number("/test_cases/generated"),
    }
}

/// A test for each service that says what its paths do.
macro_rules! services {
    ($($name:ident, $port:literal;)+) => {$(
        #[tokio::test]
        async fn $name() {
            let up = Up::start().await;
            let base = format!("http://127.0.0.1:{}", $port + up.offset);
            let count = checked(&up, &base).await;
            assert!(count.operations > 0 && count.cases > count.operations, "{count:?}");
        }
    )+};
}

services! {
    legacy_answers_only_as_the_services_documents_say, 9000;
    auth_answers_only_as_its_document_says, 9001;
    question_answers_only_as_its_document_says, 9002;
    quiz_answers_only_as_its_document_says, 9003;
    achievement_answers_only_as_its_document_says, 9004;
    leaderboard_answers_only_as_its_document_says, 9005;
    admin_answers_only_as_its_document_says, 9006;
    maintenance_answers_only_as_its_document_says, 9007;
}

#[tokio::test]
async fn the_whole_answers_through_the_gateway_as_the_documents_say() {
    let up = Up::start().await;
    for flag in FLAGS {
        let set = ["flags", "set", flag, "--percent", "100", "--reason", "test"];
        up.verb(&set).await;
    }
    let count = checked(&up, &up.gateway()).await;
    // All of the services' operations, seen from outside.
    assert!(count.operations > 40, "{count:?}");
}
