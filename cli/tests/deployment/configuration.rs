//! What each container is told, fed to the real binary.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use testkit::{Process, TempDir};

use crate::{
    PARTS, banyan,
    cluster::{Cluster, MIGRATIONS, OVERLAYS, Pod, list, text},
    said,
};

pub(crate) const POSTGRES_PORT: u64 = 5432;
/// Where a part sends its traces.
pub(crate) const TRACES: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// What a Secret's key would hold: the right kind of value.
fn sample(key: &str) -> String {
    match key {
        "database" | "log" | "migration-database" | "legacy-database" => {
            "postgres://user:secret@postgres:5432/name"
        }
        "email" => "admin@node-learn.example",
        "url" => "nats://user:secret@nats:4222",
        "admin-tokens" => {
            r#"[{name = "ops", token = "0123456789abcdef0123456789abcdef", role = "operator"}]"#
        }
        "personal-keys" => testkit::PERSONAL_KEYS,
        "ops-token" | "cookie-key" | "user" | "password" => "0123456789abcdef0123456789abcdef",
        other => panic!("no sample for the Secret key {other:?}"),
    }
    .to_owned()
}

/// A pod's variables as its container sees them.
pub(crate) fn settings(cluster: &Cluster, pod: &Pod<'_>) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for container in pod.containers() {
        for source in list(&container["envFrom"]) {
            let map = cluster.find("ConfigMap", text(&source["configMapRef"]["name"]));
            let map = map.unwrap_or_else(|| panic!("{}: no {source}", pod.name));
            let pairs = map["data"].as_object().into_iter().flatten();
            settings.extend(pairs.map(|(name, value)| (name.clone(), text(value).to_owned())));
        }
        for entry in list(&container["env"]) {
            settings.push((text(&entry["name"]).to_owned(), value(cluster, entry)));
        }
    }
    settings
}

/// What a variable of a container holds.
fn value(cluster: &Cluster, entry: &Value) -> String {
    let from = &entry["valueFrom"];
    if let Some(value) = entry["value"].as_str() {
        value.to_owned()
    } else if let Some(key) = from["secretKeyRef"]["key"].as_str() {
        sample(key)
    } else if let Some(key) = from["configMapKeyRef"]["key"].as_str() {
        let map = cluster.find("ConfigMap", text(&from["configMapKeyRef"]["name"]));
        let map = map.unwrap_or_else(|| panic!("no {from}"));
        map["data"][key].as_str().expect("the key").to_owned()
    } else {
        "name-of-the-pod".to_owned()
    }
}

/// The files that a pod's ConfigMaps put into it, by their paths.
pub(crate) fn files(cluster: &Cluster, pod: &Pod<'_>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mounts = pod
        .containers()
        .iter()
        .flat_map(|container| list(&container["volumeMounts"]));
    for mount in mounts {
        let volumes = list(&pod.spec["volumes"]);
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"]);
        let name = volume.map(|volume| text(&volume["configMap"]["name"]));
        let map = name.and_then(|name| cluster.find("ConfigMap", name));
        for (file, content) in map
            .and_then(|map| map["data"].as_object())
            .into_iter()
            .flatten()
        {
            let path = format!("{}/{file}", text(&mount["mountPath"]));
            files.insert(path, text(content).to_owned());
        }
    }
    files
}

/// The pod's configuration file, written where a test can give it to the binary.
fn configuration_file(cluster: &Cluster, pod: &Pod<'_>) -> Option<(TempDir, std::path::PathBuf)> {
    let arguments = list(&pod.containers()[0]["args"]);
    let at = arguments
        .iter()
        .position(|argument| argument == "--config")?;
    let path = text(&arguments[at + 1]);
    let content = files(cluster, pod)
        .remove(path)
        .expect("the file is mounted");
    let folder = testkit::temp_dir();
    let file = folder
        .path()
        .join(Path::new(path).file_name().expect("a name"));
    std::fs::write(&file, content).expect("it is written");
    Some((folder, file))
}

#[tokio::test]
async fn every_part_accepts_what_its_pod_is_told() {
    for cluster in OVERLAYS.into_iter().chain(MIGRATIONS).map(Cluster::render) {
        let mut checked = Vec::new();
        for pod in cluster.pods() {
            let Some(part) = pod.part() else { continue };
            let settings = settings(&cluster, &pod);
            // A name that the part does not look at would be no fault to it.
            let prefix = format!("BANYAN_{}__", part.to_uppercase());
            for (name, _) in &settings {
                let is_everybodys = name == TRACES;
                assert!(
                    is_everybodys || name.starts_with(&prefix),
                    "{}: {name}",
                    pod.name
                );
            }
            let mut command = banyan(part, &settings);
            command.arg("--check");
            let file = configuration_file(&cluster, &pod);
            if let Some((_, file)) = &file {
                command.arg("--config").arg(file);
            }
            let output = command.output().await.expect("banyan starts");
            let what = format!("{}: {}", cluster.overlay, pod.name);
            assert!(output.status.success(), "{what}: {}", said(&output));
            checked.push(part.to_owned());
        }
        assert!(
            checked.len() >= PARTS.len(),
            "{}: {checked:?}",
            cluster.overlay
        );
    }
}

/// What a cutover needs beside the routes: somebody who may curate, and the monolith's database for all
/// that take over from it.
#[test]
fn whoever_takes_over_from_the_monolith_can_read_it_and_there_is_an_administrator() {
    for cluster in Cluster::all() {
        for pod in cluster.pods() {
            let Some(part) = pod.part() else { continue };
            let settings: BTreeMap<_, _> = settings(&cluster, &pod).into_iter().collect();
            let has = |key: &str| {
                let name = format!("BANYAN_{}__{key}", part.to_uppercase());
                settings.contains_key(&name)
            };
            let what = format!("{}: {}", cluster.overlay, pod.name);
            let takes_over = !["gateway", "log", "legacy", "maintenance"].contains(&part);
            assert_eq!(has("LEGACY_DATABASE"), takes_over, "{what}");
            assert_eq!(has("LEGACY_FOLLOW"), part == "admin", "{what}");
            for key in ["ADMINISTRATOR__EMAIL", "ADMINISTRATOR__PASSWORD"] {
                assert_eq!(has(key), ["legacy", "auth"].contains(&part), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_setting_that_a_part_does_not_know_would_be_found() {
    let cluster = Cluster::render("prod");
    let pods = cluster.pods();
    let pod = pods.iter().find(|pod| pod.name == "quiz").expect("a pod");
    let mut settings = settings(&cluster, pod);
    settings.push(("BANYAN_QUIZ__WORKERS".to_owned(), "4".to_owned()));
    let output = banyan("quiz", &settings).arg("--check").output().await;
    assert_eq!(output.expect("banyan starts").status.code(), Some(64));
}

/// A gateway that runs with a cluster's file, on this machine and with its flags in a file.
struct Gateway {
    folder: TempDir,
    _file: TempDir,
    _process: Process,
}

impl Gateway {
    async fn start(overlay: &str) -> Self {
        let cluster = Cluster::render(overlay);
        let pods = cluster.pods();
        let pod = pods
            .iter()
            .find(|pod| pod.name == "gateway")
            .expect("a gateway");
        let (file_folder, file) = configuration_file(&cluster, pod).expect("it has a file");
        let folder = testkit::temp_dir();
        let (data, admin) = (testkit::free_port(), testkit::free_port());
        let mut command = std::process::Command::new(crate::BANYAN);
        command.args(["gateway", "--config"]).arg(&file).env_clear();
        command.env("BANYAN_GATEWAY__LISTEN", format!("127.0.0.1:{data}"));
        command.env("BANYAN_GATEWAY__ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
        command.env(
            "BANYAN_GATEWAY__STATE_FILE",
            folder.path().join("flags.json"),
        );
        let process = Process::spawn_command(command).expect("the gateway starts");
        process.line("The gateway serves", crate::PATIENCE).await;
        let operator = format!("admin = \"http://127.0.0.1:{admin}\"\n");
        std::fs::write(folder.path().join("operator.toml"), operator).expect("it is written");
        Self {
            folder,
            _file: file_folder,
            _process: process,
        }
    }

    async fn verb(&self, arguments: &[&str]) -> Value {
        let mut command = tokio::process::Command::new(crate::BANYAN);
        command
            .args(["--json", "--config", "operator.toml"])
            .args(arguments);
        let output = command
            .current_dir(self.folder.path())
            .output()
            .await
            .expect("banyan starts");
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

#[tokio::test]
async fn the_flag_of_the_canary_moves_players_between_the_two_versions_of_the_quiz() {
    let gateway = Gateway::start("prod-canary").await;
    let upstream = async |path: &str| {
        let explained = gateway
            .verb(&["routes", "explain", "GET", path, "--subject", "user-7"])
            .await;
        text(&explained["upstream"]).to_owned()
    };
    assert_eq!(upstream("/api/stats/me").await, "quiz");
    let set = [
        "flags",
        "set",
        "quiz-canary",
        "--percent",
        "100",
        "--reason",
        "the next version",
    ];
    gateway.verb(&set).await;
    assert_eq!(upstream("/api/stats/me").await, "quiz-canary");
    assert_eq!(upstream("/api/answers").await, "quiz-canary");
    assert_eq!(
        upstream("/api/leaderboard").await,
        "legacy",
        "other flags are untouched"
    );
    gateway
        .verb(&[
            "flags",
            "rollback",
            "quiz-canary",
            "--reason",
            "it answers 500",
        ])
        .await;
    assert_eq!(upstream("/api/stats/me").await, "quiz");
}
