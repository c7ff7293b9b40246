//! The workflows, and the scripts that they and operators run.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use testkit::{Process, TempDir};

use crate::{
    BANYAN, PARTS, PATIENCE,
    cluster::{list, output, text, tool, yaml},
    repository, said,
};

/// Files with this ending in the repository.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository(folder)).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}: no {ending}");
    found
}

fn workflows() -> Vec<(PathBuf, Value)> {
    let read = |path: PathBuf| {
        let text = std::fs::read(&path).expect("a file");
        let workflow = yaml(text).remove(0);
        (path, workflow)
    };
    files(".github/workflows", "yml")
        .into_iter()
        .map(read)
        .collect()
}

#[test]
fn workflows_are_well_formed_and_have_no_known_holes() {
    let workflows = files(".github/workflows", "yml");
    // With shellcheck, which looks into each `run`.
    let mut actionlint = tool("actionlint");
    actionlint.args(&workflows);
    output(actionlint);
    let mut zizmor = tool("zizmor");
    zizmor.args([
        "--offline",
        "--no-progress",
        "--quiet",
        "--min-severity",
        "medium",
    ]);
    zizmor.arg(repository(".github"));
    output(zizmor);
    let mut schema = tool("check-jsonschema");
    schema.args(["--builtin-schema", "vendor.dependabot"]);
    schema.arg(repository(".github/dependabot.yml"));
    output(schema);
}

#[test]
fn every_job_says_what_it_may_and_how_long_and_actions_have_a_version() {
    for (path, workflow) in workflows() {
        let path = path.display();
        assert_eq!(
            workflow["permissions"],
            serde_json::json!({}),
            "{path}: rights for all jobs"
        );
        assert!(
            workflow["concurrency"]["group"].is_string(),
            "{path}: concurrency"
        );
        for (name, job) in workflow["jobs"].as_object().expect("jobs") {
            let what = format!("{path}: {name}");
            assert!(job["permissions"].is_object(), "{what}: rights");
            let is_call = job["uses"].is_string();
            assert!(
                is_call || job["timeout-minutes"].is_u64(),
                "{what}: timeout"
            );
            for action in list(&job["steps"])
                .iter()
                .filter_map(|step| step["uses"].as_str())
            {
                let version = action.split_once('@').map(|(_, version)| version);
                let numbers = version.and_then(|version| version.strip_prefix('v'));
                let numbers = numbers.unwrap_or_else(|| panic!("{what}: {action}"));
                assert_eq!(numbers.split('.').count(), 3, "{what}: {action}");
            }
        }
    }
}

#[test]
fn every_part_gets_an_image() {
    let (_, images) = workflows()
        .into_iter()
        .find(|(path, _)| path.ends_with("images.yml"))
        .expect("the workflow");
    let bins = list(&images["jobs"]["image"]["strategy"]["matrix"]["bin"]).iter();
    let mut built: Vec<_> = bins.map(|bin| text(bin).to_owned()).collect();
    let parts = PARTS.iter().map(|(part, _)| *part).chain(["gateway"]);
    let mut wanted: Vec<_> = parts
        .map(|part| format!("banyan-{part}"))
        .chain(["banyan".to_owned()])
        .collect();
    built.sort();
    wanted.sort();
    assert_eq!(built, wanted);
}

#[test]
fn shellcheck_finds_nothing_in_any_script() {
    let mut list = Command::new("git");
    list.args(["ls-files", "*.sh", "deploy/bin/*"])
        .current_dir(repository(""));
    let scripts = String::from_utf8(output(list).stdout).expect("names");
    for script in ["deploy/smoke.sh", "deploy/bin/compose/part"] {
        assert!(scripts.contains(script), "{scripts}");
    }
    let mut shellcheck = Command::new("shellcheck");
    shellcheck.args(scripts.lines()).current_dir(repository(""));
    output(shellcheck);
}

fn smoke(gateway: &str) -> Command {
    let mut smoke = Command::new(repository("deploy/smoke.sh"));
    smoke.env("GATEWAY", gateway).env("TRIES", "20");
    smoke
}

#[tokio::test]
async fn the_smoke_test_passes_on_a_system_that_works_and_fails_without_one() {
    let folder = testkit::temp_dir();
    let offset = testkit::free_port_offset();
    let url = |port: u16| format!("http://127.0.0.1:{}", port + offset);
    let mut up = Command::new(BANYAN);
    up.args(["up", "--port-offset", &offset.to_string()])
        .current_dir(folder.path());
    let mut process = Process::spawn_command(up).expect("banyan starts");
    process.line("Banyan is up", PATIENCE).await;
    let mut works = smoke(&url(8080));
    works.env("ADMIN", url(8081)).env("BANYAN", BANYAN);
    works.env(
        "OPERATOR_CONFIG",
        folder.path().join(".banyan/endpoints.toml"),
    );
    let works = run(works).await;
    assert!(works.status.success(), "{}", said(&works));
    process.terminate().expect("it runs");
    process.exit(PATIENCE).await;
    let mut fails = smoke(&url(8080));
    fails.env("TRIES", "1");
    let fails = run(fails).await;
    assert_eq!(fails.status.code(), Some(1), "{}", said(&fails));
    assert!(
        said(&fails).contains("no question after 1 tries"),
        "{}",
        said(&fails)
    );
}

async fn run(mut command: Command) -> Output {
    let running = tokio::task::spawn_blocking(move || command.output());
    running.await.expect("no panic").expect("it starts")
}

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
    script("kubectl", &format!("{kubectl}{fails}"));
    script("curl", "exit 7");
    script("banyan", "");
    folder
}

/// Deploys `staging` with stand-ins; the exit code, and the calls.
async fn deploy(broken: &str) -> (Option<i32>, Vec<String>) {
    let stand_ins = stand_ins(broken);
    let calls = stand_ins.path().join("calls");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut deploy = Command::new(repository("deploy/deploy.sh"));
    deploy.arg("staging").env("CALLS", &calls).env("TRIES", "1");
    deploy.env("PATH", format!("{}:{path}", stand_ins.path().display()));
    deploy
        .env("GATEWAY", "http://127.0.0.1:1")
        .env("ROLLBACK_FLAGS", "quiz-canary");
    deploy.env("OPERATOR_CONFIG", "operator.toml");
    let output = run(deploy).await;
    let calls = read(&calls);
    (output.status.code(), calls)
}

fn read(calls: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(calls).expect("it was called");
    text.lines().map(ToOwned::to_owned).collect()
}

fn position(calls: &[String], part: &str) -> Option<usize> {
    calls.iter().position(|call| call.contains(part))
}

#[tokio::test]
async fn a_failed_migration_stops_a_deployment_before_any_code_changes() {
    let (code, calls) = deploy("*'wait --for'*").await;
    assert_eq!(code, Some(1), "{calls:#?}");
    assert!(
        position(&calls, "overlays/staging/migrations").is_some(),
        "{calls:#?}"
    );
    let applied = calls
        .iter()
        .any(|call| call.contains("apply") && call.ends_with("overlays/staging"));
    assert!(!applied, "{calls:#?}");
    assert_eq!(position(&calls, "rollout undo"), None, "{calls:#?}");
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
