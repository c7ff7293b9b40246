//! What runbooks call `part` and `banyan` on compose and on Kubernetes (`deploy/bin/`): a stand-in for
//! the platform's own command writes down what it is asked.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use testkit::TempDir;

use crate::{
    PARTS,
    cluster::{Cluster, labels, list, text},
    repository, said,
};

/// Writes its arguments down, and fails where they match `$BROKEN`.
const STAND_IN: &str = r#"#!/bin/sh
printf '%s\037' "$@" >> "$CALLS"
printf '\036' >> "$CALLS"
case "$*" in
  *"get pod"*) echo pod/quiz-1; echo pod/quiz-2 ;;
  *"logs --previous pod/quiz-1"*) echo 'panicked' ;;
  *"logs --previous"*) exit 1 ;;
  *"logs pod"*) echo 'began again' ;;
esac
case "$*" in $BROKEN) exit 1 ;; esac
"#;

/// A copy of the scripts, with a `.env` that may be changed.
struct Scripts {
    folder: TempDir,
    bin: PathBuf,
}

impl Scripts {
    fn of(platform: &str) -> Self {
        let folder = testkit::temp_dir();
        let bin = folder.path().join("deploy/bin").join(platform);
        std::fs::create_dir_all(&bin).expect("a writable folder");
        let from = repository("deploy/bin").join(platform);
        for script in std::fs::read_dir(from).expect("a folder") {
            let path = script.expect("an entry").path();
            let to = bin.join(path.file_name().expect("a name"));
            std::fs::copy(&path, to).expect("copied");
        }
        for name in ["kubectl", "docker"] {
            let path = folder.path().join(name);
            std::fs::write(&path, STAND_IN).expect("written");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, executable).expect("executable");
        }
        Self { folder, bin }
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.bin.join(words[0]));
        command.args(&words[1..]).current_dir(self.folder.path());
        command.env("PATH", format!("{}:{path}", self.folder.path().display()));
        command.env("CALLS", self.calls()).env("BROKEN", "");
        for variable in ["BANYAN_ACTOR", "NAMESPACE", "COMPOSE", "BANYAN_IMAGE"] {
            command.env_remove(variable);
        }
        command
    }

    fn calls(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    /// Runs one, and tells what the platform was asked.
    fn run(&self, words: &[&str]) -> Vec<String> {
        let (output, calls) = self.finish(self.command(words));
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        calls.iter().map(|call| call.join(" ")).collect()
    }

    fn finish(&self, mut command: Command) -> (Output, Vec<Vec<String>>) {
        let output = command.output().expect("it starts");
        (output, calls(&self.calls()))
    }
}

/// The calls so far, and none from now on.
fn calls(file: &Path) -> Vec<Vec<String>> {
    let Ok(written) = std::fs::read_to_string(file) else {
        return Vec::new();
    };
    std::fs::remove_file(file).expect("it was there");
    let calls = written.split_terminator('\u{1e}');
    calls
        .map(|call| {
            call.split_terminator('\u{1f}')
                .map(ToOwned::to_owned)
                .collect()
        })
        .collect()
}

const QUIZ: &str = "--selector app.kubernetes.io/name in (quiz,quiz-canary)";

#[test]
fn on_kubernetes_a_part_is_stopped_when_its_last_pod_is_gone() {
    let scripts = Scripts::of("kubernetes");
    let stop = scripts.run(&["part", "stop", "quiz"]);
    let expected = [
        format!("--namespace banyan scale deployment,statefulset {QUIZ} --replicas 0"),
        format!("--namespace banyan wait --for delete pod {QUIZ} --timeout 90s"),
    ];
    assert_eq!(stop, expected);
    let mut hangs = scripts.command(&["part", "stop", "quiz"]);
    hangs.env("BROKEN", "* wait *");
    let (output, _) = scripts.finish(hangs);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

#[test]
fn on_kubernetes_a_part_runs_when_start_and_restart_end() {
    let scripts = Scripts::of("kubernetes");
    let mut start = scripts.command(&["part", "start", "nats"]);
    start.env("NAMESPACE", "banyan-staging");
    let (output, calls) = scripts.finish(start);
    assert!(output.status.success(), "{}", said(&output));
    let calls: Vec<_> = calls.iter().map(|call| call.join(" ")).collect();
    assert!(
        calls[0].starts_with("--namespace banyan-staging scale deployment,statefulset")
            && calls[0].ends_with("--replicas 3"),
        "{calls:?}"
    );
    assert!(calls[1].contains("rollout status"), "{calls:?}");
    let restart = scripts.run(&["part", "restart", "quiz"]);
    assert!(restart[0].contains("rollout restart"), "{restart:?}");
    assert!(restart[1].contains("rollout status"), "{restart:?}");
    // What `part start postgres || part promote postgres` stands on.
    let mut fails = scripts.command(&["part", "start", "postgres"]);
    fails.env("BROKEN", "* scale *");
    assert!(!scripts.finish(fails).0.status.success());
}

#[test]
fn on_kubernetes_a_release_is_taken_back_to_a_revision_that_somebody_chose() {
    let scripts = Scripts::of("kubernetes");
    let releases = scripts.run(&["part", "releases", "quiz"]);
    assert_eq!(
        releases,
        ["--namespace banyan rollout history deployment/quiz"]
    );
    let rollback = scripts.run(&["part", "rollback", "quiz", "7"]);
    assert!(
        rollback[0].ends_with("rollout undo deployment/quiz --to-revision 7"),
        "{rollback:?}"
    );
    let (unsaid, calls) = scripts.finish(scripts.command(&["part", "rollback", "quiz"]));
    assert_eq!((unsaid.status.code(), calls.len()), (Some(64), 0));
}

#[test]
fn on_kubernetes_the_log_is_that_of_every_pod_and_of_what_crashed_in_it() {
    let scripts = Scripts::of("kubernetes");
    let (output, _) = scripts.finish(scripts.command(&["part", "logs", "quiz"]));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(printed, "panicked\nbegan again\nbegan again\n");
}

#[test]
fn on_kubernetes_banyan_runs_in_a_pod_that_policies_let_through() {
    let scripts = Scripts::of("kubernetes");
    let mut list = scripts.command(&["banyan", "flags", "list", "--reason", "two words"]);
    list.env("BANYAN_IMAGE", "registry.example.org/banyan:0.1.0");
    list.env("BANYAN_ACTOR", "night shift");
    list.env("BANYAN_OPERATOR__OPS_TOKEN", "old-ops-token");
    let (output, calls) = scripts.finish(list);
    assert!(output.status.success(), "{}", said(&output));
    let call = &calls[0];
    assert!(
        call.ends_with(&["--", "flags", "list", "--reason", "two words"].map(String::from)),
        "{call:?}"
    );
    let behind = |flag: &str| {
        let at = call.iter().position(|word| word == flag).expect(flag);
        call[at + 1].as_str()
    };
    let label = behind("--labels");
    let policies = Cluster::render("prod");
    let let_through = policies.of("NetworkPolicy").any(|policy| {
        let selected = labels(&policy["spec"]["podSelector"]["matchLabels"]);
        selected
            .iter()
            .any(|(key, value)| format!("{key}={value}") == label)
    });
    assert!(let_through, "{label}");
    let pod: Value = serde_json::from_str(behind("--overrides")).expect("JSON");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(text(&container["name"]), behind("run"));
    let variable = |name: &str| {
        let mut all = container["env"].as_array().into_iter().flatten();
        all.find(|one| one["name"] == name).expect(name)
    };
    assert_eq!(variable("BANYAN_ACTOR")["value"], "night shift");
    assert_eq!(
        variable("BANYAN_OPERATOR__OPS_TOKEN")["value"],
        "old-ops-token"
    );
    let secret = &variable("BANYAN_OPERATOR__ADMIN_TOKEN")["valueFrom"]["secretKeyRef"];
    assert_eq!(secret["key"], "admin-token");
}

#[test]
fn the_operators_file_for_kubernetes_names_every_service_that_there_is() {
    let cluster = Cluster::render("prod");
    let file = std::fs::read_to_string(repository("deploy/operator/kubernetes.toml"));
    let file = file.expect("the file");
    let mut named = 0;
    for line in file.lines().filter(|line| line.contains("http://")) {
        let url = line.split('"').nth(1).expect("a URL");
        let address = url.strip_prefix("http://").expect("HTTP");
        let (name, port) = address.split_once(':').expect("a port");
        let service = cluster.find("Service", name);
        let service = service.unwrap_or_else(|| panic!("no Service {name}"));
        let ports = list(&service["spec"]["ports"]).iter();
        let mut ports = ports.map(|one| one["port"].to_string());
        assert!(ports.any(|one| one == port), "{url}");
        named += 1;
    }
    // The gateway's two ports, and all other parts.
    assert_eq!(named, PARTS.len() + 2);
}

#[test]
fn on_compose_parts_are_started_anew_from_what_the_files_say_now() {
    let scripts = Scripts::of("compose");
    let up = "compose up -d --no-deps quiz";
    assert_eq!(scripts.run(&["part", "start", "quiz"]), [up]);
    assert_eq!(
        scripts.run(&["part", "stop", "quiz"]),
        ["compose stop quiz"]
    );
    let restart = scripts.run(&["part", "restart", "quiz"]);
    assert_eq!(restart, ["compose stop quiz", up]);
    let logs = scripts.run(&["part", "logs", "quiz"]);
    assert_eq!(logs, ["compose logs --no-color --no-log-prefix quiz"]);
    let environment = scripts.folder.path().join(".env");
    std::fs::write(
        &environment,
        "OPS_TOKEN=ops\nIMAGE_QUIZ=banyan:2.0.0\nIMAGE_AUTH=banyan:2.0.0\n",
    )
    .expect("written");
    let rollback = scripts.run(&["part", "rollback", "quiz", "banyan:1.9.0"]);
    assert_eq!(rollback, [up]);
    let written = std::fs::read_to_string(&environment).expect("it is there");
    assert_eq!(
        written,
        "OPS_TOKEN=ops\nIMAGE_AUTH=banyan:2.0.0\nIMAGE_QUIZ=banyan:1.9.0\n"
    );
}

#[test]
fn on_compose_banyan_and_psql_run_inside_of_the_network() {
    let scripts = Scripts::of("compose");
    let folder = scripts.folder.path().canonicalize().expect("it is there");
    let folder = folder.display();
    let mut set = scripts.command(&["banyan", "flags", "list", "--reason", "two words"]);
    set.env("BANYAN_ACTOR", "night shift");
    set.env("BANYAN_OPERATOR__OPS_TOKEN", "old-ops-token");
    let (output, calls) = scripts.finish(set);
    assert!(output.status.success(), "{}", said(&output));
    let call = &calls[0];
    let words = ["operator", "flags", "list", "--reason", "two words"];
    assert!(call.ends_with(&words.map(String::from)), "{call:?}");
    let text = call.join(" ");
    for part in [
        format!("compose -f {folder}/docker-compose.yml --project-directory {folder} run --rm -T"),
        format!("-w {folder} -v {folder}:{folder}"),
        "-e BANYAN_ACTOR=night shift".to_owned(),
        "-e BANYAN_OPERATOR__OPS_TOKEN operator".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    let psql = scripts.run(&["psql", "postgres://quiz@postgres/quiz"]);
    assert!(
        psql[0].ends_with("exec -T postgres psql postgres://quiz@postgres/quiz"),
        "{psql:?}"
    );
}
