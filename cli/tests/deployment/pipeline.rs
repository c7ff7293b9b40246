//! The workflows, and the smoke test that they and operators run.

use std::{path::PathBuf, process::Command};

use serde_json::Value;
use testkit::Process;

use crate::{
    BANYAN, PARTS, PATIENCE,
    cluster::{list, output, text, tool, yaml},
    repository, run, said,
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
