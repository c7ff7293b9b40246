//! Chromium.

use std::process::Command;

use testkit::Process;

use crate::site::Site;

#[tokio::test]
async fn a_browser_gets_each_server_sent_event_when_it_is_sent() {
    let mut site = Site::open().await;
    let mut command = Command::new("chromium");
    // Tests run as root, in containers without a device or much shared memory.
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]);
    command.args(["--no-first-run", "--disable-background-networking"]);
    let profile = site.gateway.folder.path().join("profile");
    command.arg(format!("--user-data-dir={}", profile.display()));
    // It stays open until it is killed: it is the page that says when it is done.
    command
        .arg("--remote-debugging-port=0")
        .arg(site.gateway.url("/page"));
    let browser = Process::spawn_command(command);
    let _browser = browser.expect("Chromium is installed by `cargo xtask test`");
    assert_eq!(site.told().await, "event-0 event-1 event-2");
}
