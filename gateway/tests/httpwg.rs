//! RFC 9113 as others read it: the test cases of `httpwg-cli`, against the binary.
//!
//! What is faulty must end in an error. Which of the codes it has is the HTTP library's choice: it
//! says PROTOCOL_ERROR where the suite waits for a more telling one.

use std::path::Path;
use std::process::Command;

use axum::{Router, routing::get};
use testkit::Process;
use tokio::net::TcpListener;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Where `cargo xtask test` installs it.
const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/bin/httpwg");

/// Cases that end otherwise than the suite wants, and why that is right or harmless.
const OTHERWISE: [(&str, &str); 7] = [
    (
        "trailing tab in field value",
        "it is told 400 (RFC 9113 §8.1.1)",
    ),
    (
        "leading space in field value",
        "it is told 400 (RFC 9113 §8.1.1)",
    ),
    (
        "mismatched host authority",
        "it is told 400 (RFC 9113 §8.1.1)",
    ),
    (
        "connect without authority",
        "it is told 405, as every CONNECT",
    ),
    (
        "exceeds concurrent stream limit",
        "the first ones may be answered before the last one comes",
    ),
    ("pseudo header in trailer", "it is dropped and goes nowhere"),
    (
        "client sends push promise frame",
        "the end of the suite's unfinished frame is waited for",
    ),
];

/// How many cases there are at least; fewer mean that they did not run.
const CASES: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cases_of_rfc_9113_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let upstream = listener.local_addr().expect("an address");
    let router =
        Router::new().fallback(get(|| async { "hello" }).post(|body: String| async { body }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (folder, port) = (testkit::temp_dir(), testkit::free_port());
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "listen = \"127.0.0.1:{port}\"\nadmin_listen = \"127.0.0.1:{}\"\n\
         [upstreams.legacy]\nendpoints = [\"http://{upstream}\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        testkit::free_port()
    );
    std::fs::write(&file, text).expect("a file is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_banyan-gateway"));
    command.arg("--config").arg(&file);
    let gateway = Process::spawn_command(command).expect("the binary starts");
    gateway.line("listening", PATIENCE).await;

    assert!(
        Path::new(TOOL).exists(),
        "there is no {TOOL}: `cargo xtask test` installs it"
    );
    let mut command = Command::new(TOOL);
    command.args([
        "--address",
        &format!("127.0.0.1:{port}"),
        "--frame-timeout",
        "5000",
    ]);
    let asking = tokio::task::spawn_blocking(move || command.output());
    let output = asking.await.expect("it ends").expect("it runs");
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let (passed, faults) = judge(&told);
    println!("{passed} of {CASES} or more cases pass");
    assert!(faults.is_empty(), "{faults:#?}");
    let judged = passed + general(&told) + OTHERWISE.len();
    assert!(judged >= CASES, "{judged} cases ended:\n{told}");
}

/// How many cases pass, and what fails without a reason that we know.
fn judge(told: &str) -> (usize, Vec<String>) {
    let passed = told.matches("Test passed: ").count();
    let failed = told.split("Test failed: ").skip(1);
    let faults = failed.filter(|case| {
        let name = case.lines().next().unwrap_or_default();
        let is_known = OTHERWISE.iter().any(|(known, _)| name.contains(known));
        // The case's own report ends where the next one begins.
        let report = case.split("Test passed: ").next().unwrap_or_default();
        !is_known && !report.contains("but got ProtocolError")
    });
    (passed, faults.map(str::to_owned).collect())
}

/// How many cases got an error with the general code.
fn general(told: &str) -> usize {
    told.matches("but got ProtocolError").count()
}
