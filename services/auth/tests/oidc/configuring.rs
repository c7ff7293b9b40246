//! What the process says about providers that it cannot use.

use std::process::Command;

#[test]
fn every_fault_of_the_providers_is_told_at_once_with_exit_64() {
    let folder = testkit::temp_dir();
    let output = Command::new(env!("CARGO_BIN_EXE_banyan-auth"))
        .current_dir(folder.path())
        .env("BANYAN_AUTH__PUBLIC_URL", "play.example")
        .env("BANYAN_AUTH__OIDC__OWN__ISSUER", "http://id.example")
        .env("BANYAN_AUTH__OIDC__OWN__CLIENT_ID", "node-learn")
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("public_url"), "{text}");
    assert!(text.contains("oidc.own.issuer"), "{text}");
}
