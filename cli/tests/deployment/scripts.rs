//! The scripts that deploy, with a `kubectl` that only writes down what it is told.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use cli::endpoints::{ADMIN_PORT, SERVICES};
use testkit::{TempDir, eventually};

use crate::{repository, run, said};

/// A folder with a `kubectl`, a `curl` and a `banyan` that only write down what they are asked, and
/// fail where `broken` says so. The quiz's revision is 7 before the apply, and 8 after it.
fn stand_ins(broken: &str) -> TempDir {
    let folder = testkit::temp_dir();
    let script = |name: &str, body: &str| {
        let path = folder.path().join(name);
        std::fs::write(
            &path,
            format!("#!/bin/sh\necho \"{name} $*\" >> \"$CALLS\"\n{body}\n"),
        )
        .expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("executable");
    };
    let kubectl = r#"case "$*" in
  *"apply --kustomize"*migrations) ;;
  *"apply --kustomize"*) touch "$CALLS.applied" ;;
  kustomize*) printf 'metadata:\n  namespace: banyan-staging\n' ;;
  *"get job"*) echo 'migrate-auth SuccessCriteriaMet Complete'; echo "migrate-quiz $QUIZ" ;;
  *port-forward*) echo "pid $$" >> "$CALLS"; echo 'Forwarding from 127.0.0.1'; exec tail -f /dev/null ;;
  *"get deployment"*) echo 'auth 3'; if [ -e "$CALLS.applied" ]; then echo 'quiz 8'; else echo 'quiz 7'; fi ;;
esac
"#;
    let fails = match broken {
        "" => String::new(),
        // Once: what runs again afterwards gets ready.
        pattern => format!(
            "case \"$*\" in {pattern}) if [ ! -e \"$CALLS.broken\" ]; then touch \"$CALLS.broken\"; exit 1; fi ;; esac"
        ),
    };
    script("kubectl", &format!("{fails}\n{kubectl}"));
    script("curl", "exit 7");
    script("banyan", "");
    folder
}

/// How the Job of the quiz's tables ends.
#[derive(Clone, Copy)]
enum Tables {
    Made,
    Failed,
}

/// A deployment with stand-ins.
struct Script {
    stand_ins: TempDir,
    command: Command,
}

impl Script {
    fn new(script: &str, broken: &str) -> Self {
        let stand_ins = stand_ins(broken);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(repository(script));
        command.env("PATH", format!("{}:{path}", stand_ins.path().display()));
        command.env("CALLS", stand_ins.path().join("calls"));
        command.env("PORT_OFFSET", testkit::free_port_offset().to_string());
        Self { stand_ins, command }
    }

    /// Of `staging`, whose smoke test fails: there is no gateway.
    fn deploy(broken: &str, tables: Tables) -> Self {
        let mut script = Self::new("deploy/deploy.sh", broken);
        let quiz = match tables {
            Tables::Made => "SuccessCriteriaMet Complete",
            Tables::Failed => "FailureTarget Failed",
        };
        script.command.arg("staging").env("TRIES", "1");
        script
            .command
            .env("QUIZ", quiz)
            .env("GATEWAY", "http://127.0.0.1:1");
        script
    }

    /// What it prints, and the calls that it made.
    async fn run(self) -> (Output, Vec<String>) {
        let output = run(self.command).await;
        let calls = read(&self.stand_ins.path().join("calls"));
        (output, calls)
    }
}

/// Deploys `staging` as an operator may who has the tokens; the exit code, and the calls.
async fn deploy(broken: &str) -> (Option<i32>, Vec<String>) {
    let mut script = Script::deploy(broken, Tables::Made);
    script.command.env("ROLLBACK_FLAGS", "quiz-canary");
    script.command.env("OPERATOR_CONFIG", "operator.toml");
    let (output, calls) = script.run().await;
    (output.status.code(), calls)
}

fn read(calls: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(calls).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

fn position(calls: &[String], part: &str) -> Option<usize> {
    calls.iter().position(|call| call.contains(part))
}

#[tokio::test]
async fn a_failed_migration_stops_a_deployment_before_any_code_changes() {
    let (output, calls) = Script::deploy("", Tables::Failed).run().await;
    assert_eq!(output.status.code(), Some(1), "{calls:#?}");
    assert!(
        position(&calls, "overlays/staging/migrations").is_some(),
        "{calls:#?}"
    );
    // It says which one, and what that said.
    assert!(
        said(&output).contains("migrate-quiz has failed"),
        "{}",
        said(&output)
    );
    let logs = position(
        &calls,
        "logs --selector batch.kubernetes.io/job-name=migrate-quiz",
    );
    assert!(logs.is_some(), "{calls:#?}");
    let applied = calls
        .iter()
        .any(|call| call.contains("apply") && call.ends_with("overlays/staging"));
    assert!(!applied, "{calls:#?}");
    assert_eq!(position(&calls, "rollout undo"), None, "{calls:#?}");
}

#[tokio::test]
async fn a_deployment_that_could_not_roll_its_flags_back_is_not_begun() {
    let mut script = Script::deploy("", Tables::Made);
    script.command.env("ROLLBACK_FLAGS", "quiz-canary");
    let (output, calls) = script.run().await;
    assert_eq!(output.status.code(), Some(64), "{calls:#?}");
    assert!(
        said(&output).contains("OPERATOR_CONFIG"),
        "{}",
        said(&output)
    );
    assert!(calls.is_empty(), "{calls:#?}");
}

/// Whoever gives no tokens gets the smoke test alone, and the code is taken back all the same.
#[tokio::test]
async fn without_an_operators_file_nobody_looks_behind_the_gateway() {
    let (output, calls) = Script::deploy("", Tables::Made).run().await;
    assert_eq!(output.status.code(), Some(1), "{calls:#?}");
    assert!(position(&calls, "curl").is_some(), "{calls:#?}");
    assert_eq!(position(&calls, "port-forward"), None, "{calls:#?}");
    let asked = calls.iter().any(|call| call.starts_with("banyan "));
    assert!(!asked, "{calls:#?}");
    assert!(
        position(&calls, "rollout undo deployment/quiz").is_some(),
        "{calls:#?}"
    );
}

#[tokio::test]
async fn a_tunnel_reaches_every_part_where_the_verbs_look_and_ends_with_its_command() {
    let offset = testkit::free_port_offset();
    let mut script = Script::new("deploy/tunnel.sh", "");
    script
        .command
        .args(["banyan", "sh", "-c", "echo as \"$0\"; exit 7", "told"]);
    script.command.env("PORT_OFFSET", offset.to_string());
    let (output, calls) = script.run().await;
    // What the command says and how it ends is what the tunnel says and how it ends.
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(said(&output).contains("as told"), "{}", said(&output));
    let parts = SERVICES
        .iter()
        .copied()
        .chain([("gateway-admin", ADMIN_PORT)]);
    for (name, port) in parts {
        let forward = format!("service/{name} {}:{port}", port + offset);
        assert!(
            position(&calls, &forward).is_some(),
            "{forward}: {calls:#?}"
        );
    }
    for pid in calls.iter().filter_map(|call| call.strip_prefix("pid ")) {
        let process = Path::new("/proc").join(pid);
        eventually(Duration::from_secs(10), || {
            let ended = if process.exists() { Err(pid) } else { Ok(()) };
            std::future::ready(ended)
        })
        .await;
    }
}

#[tokio::test]
async fn a_tunnel_to_a_part_without_pods_is_told_of_and_one_to_a_taken_port_refused() {
    let mut script = Script::new("deploy/tunnel.sh", "*service/quiz*");
    script.command.args(["banyan", "true"]);
    let (output, _) = script.run().await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("no way to quiz"),
        "{}",
        said(&output)
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let mut script = Script::new("deploy/tunnel.sh", "");
    script.command.args(["banyan", "touch", "never"]);
    script.command.current_dir(script.stand_ins.path());
    script.command.env(
        "PORT_OFFSET",
        (i32::from(port) - i32::from(ADMIN_PORT)).to_string(),
    );
    let never = script.stand_ins.path().join("never");
    let (output, calls) = script.run().await;
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(calls.is_empty() && !never.exists(), "{calls:#?}");
}

#[tokio::test]
async fn a_rollout_that_does_not_get_ready_is_taken_back_flags_first() {
    let (code, calls) = deploy("*'rollout status'*").await;
    assert_eq!(code, Some(1), "{calls:#?}");
    let flags = position(&calls, "flags rollback quiz-canary").expect("the flag");
    let undo = position(&calls, "rollout undo deployment/quiz --to-revision 7").expect("the code");
    assert!(flags < undo, "{calls:#?}");
    let undone = calls.iter().filter(|call| call.contains("rollout undo"));
    assert_eq!(undone.count(), 1, "what did not change stays: {calls:#?}");
    assert!(
        calls
            .last()
            .is_some_and(|call| call.contains("rollout status")),
        "{calls:#?}"
    );
}

#[tokio::test]
async fn a_failed_smoke_test_takes_a_deployment_back() {
    let (code, calls) = deploy("").await;
    assert_eq!(code, Some(1), "{calls:#?}");
    let smoke = position(&calls, "curl").expect("a smoke test");
    let undo = position(&calls, "rollout undo deployment/quiz").expect("the code");
    assert!(smoke < undo, "{calls:#?}");
}

#[tokio::test]
async fn a_rollback_that_fails_too_says_so_with_an_exit_code_of_its_own() {
    let (code, calls) = deploy("*'rollout undo'*").await;
    assert_eq!(code, Some(2), "{calls:#?}");
}
