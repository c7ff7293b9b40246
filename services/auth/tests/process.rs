//! The process itself: what it says when it cannot start, and how it ends.

use std::process::{Command, Output};

use testkit::{TempDir, temp_dir};

const KEYS: &str = "BANYAN_AUTH__PERSONAL_KEYS";

fn run(variables: &[(&str, &str)]) -> (Output, TempDir) {
    let folder = temp_dir();
    let output = Command::new(env!("CARGO_BIN_EXE_banyan-auth"))
        .current_dir(folder.path())
        .env(KEYS, testkit::PERSONAL_KEYS)
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs");
    (output, folder)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_fault_of_the_configuration_is_told_at_once_with_exit_64() {
    let (output, _folder) = run(&[
        ("BANYAN_AUTH__LISTEN", "nowhere"),
        ("BANYAN_AUTH__COLOUR", "green"),
    ]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("listen") && text.contains("colour"), "{text}");
}

#[test]
fn off_loopback_the_ops_token_is_required() {
    let (output, _folder) = run(&[("BANYAN_AUTH__LISTEN", "0.0.0.0:0")]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("ops_token"), "{text}");
}

#[test]
fn with_an_unusable_key_for_personal_fields_it_does_not_start_and_says_why() {
    let (output, _folder) = run(&[(KEYS, "test:0123")]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(
        text.contains("personal_keys") && text.contains("64 hexadecimal digits"),
        "{text}"
    );
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (output, _folder) = run(&[("BANYAN_AUTH__LISTEN", &address)]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("`listen`") && text.contains(&taken_port(&address)),
        "{text}"
    );
}

#[test]
fn an_unusable_database_is_named_with_its_setting() {
    let port = format!("127.0.0.1:{}", testkit::free_port());
    let variables = [
        ("BANYAN_AUTH__LISTEN", &*port),
        ("BANYAN_AUTH__DATABASE", "sqlite:/proc/none/auth.db"),
    ];
    let (output, _folder) = run(&variables);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("`database`"), "{text}");
}

#[test]
fn a_key_file_without_a_key_is_named_with_its_setting() {
    let port = format!("127.0.0.1:{}", testkit::free_port());
    let variables = [
        ("BANYAN_AUTH__LISTEN", &*port),
        ("BANYAN_AUTH__SIGNING_KEY", "/proc/self/comm"),
    ];
    let (output, _folder) = run(&variables);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("`signing_key`") && text.contains("/proc/self/comm"),
        "{text}"
    );
}

fn taken_port(address: &str) -> String {
    address.rsplit(':').next().expect("a port").to_owned()
}
