//! The binary: exit codes, and what it says on its way out.

use std::process::{Command, Output};

const VALID: &str = r#"
    upstreams.legacy.endpoints = ["http://127.0.0.1:9000"]
    routes = [{ id = "all", prefix = "/", legacy = "legacy" }]
"#;

fn gateway(text: &str, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Output> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_banyan-gateway"));
    command
        .arg("--config")
        .arg(&path)
        .args(arguments)
        .envs(environment.iter().copied());
    Ok(command.output()?)
}

#[test]
fn check_tells_all_faults_at_once_and_exits_64() -> anyhow::Result<()> {
    let output = gateway("listen = \"here\"\nlisen = 1", &["--check"], &[])?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(64), "{told}");
    for key in ["listen: ", "lisen: ", "upstreams: ", "routes: "] {
        assert!(told.contains(key), "{key} in {told}");
    }
    Ok(())
}

#[test]
fn check_exits_0_when_nothing_is_wrong() -> anyhow::Result<()> {
    let output = gateway(VALID, &["--check"], &[])?;
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout)?.ends_with("gateway.toml: valid\n"));
    Ok(())
}

#[test]
fn variables_go_over_the_file_and_are_judged_like_it() -> anyhow::Result<()> {
    let secret = "12345678901234567890123456789012";
    let right = [
        ("BANYAN_GATEWAY__UPSTREAMS__LEGACY__MAX_IN_FLIGHT", "5"),
        ("BANYAN_GATEWAY__UPSTREAMS__LEGACY__TIMEOUT", "3s"),
        ("BANYAN_GATEWAY__ROUTE_HEADERS", "false"),
        ("BANYAN_GATEWAY__COOKIE_KEY", secret),
    ];
    let output = gateway(VALID, &["--check"], &right)?;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let wrong = [("BANYAN_GATEWAY__UPSTREAMS__LEGACY__TIMEOUT", "3")];
    let output = gateway(VALID, &["--check"], &wrong)?;
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr)?.contains("upstreams.legacy.timeout: `3`"));
    Ok(())
}

#[test]
fn wrong_arguments_exit_64_and_a_missing_file_is_named() -> anyhow::Result<()> {
    let binary = || Command::new(env!("CARGO_BIN_EXE_banyan-gateway"));
    assert_eq!(binary().arg("--confg").output()?.status.code(), Some(64));
    assert_eq!(binary().arg("--help").output()?.status.code(), Some(0));
    let output = binary().args(["--config", "none.toml"]).output()?;
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr)?.contains("none.toml"));
    Ok(())
}

#[test]
fn a_taken_port_is_named_with_its_setting() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    for setting in ["listen", "admin_listen"] {
        let other = if setting == "listen" {
            "admin_listen"
        } else {
            "listen"
        };
        let text = format!("{setting} = \"{address}\"\n{other} = \"127.0.0.1:0\"\n{VALID}");
        let output = gateway(&text, &[], &[])?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&address.port().to_string()), "{told}");
        assert!(told.contains(&format!("`{setting}`")), "{told}");
    }
    Ok(())
}

#[test]
fn a_state_file_that_cannot_be_written_is_named_with_its_setting() -> anyhow::Result<()> {
    let flag = r#"
        [upstreams.quiz]
        endpoints = ["http://127.0.0.1:9003"]
        [flags.f]
        [[routes]]
        id = "answers"
        prefix = "/api"
        legacy = "legacy"
        candidate = "quiz"
        flag = "f"
    "#;
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         state_file = \"/proc/none/flags.json\"\nupstreams.legacy.endpoints = [\"http://127.0.0.1:9000\"]\n{flag}"
    );
    let output = gateway(&text, &[], &[])?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("/proc/none/flags.json") && told.contains("`state_file`"),
        "{told}"
    );
    Ok(())
}
