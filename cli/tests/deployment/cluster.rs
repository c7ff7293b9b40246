//! The manifests as a cluster would get them: rendered by kustomize, read as objects.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{repository, said};

/// What is deployed; the last one is production while a canary is out.
pub(crate) const OVERLAYS: [&str; 4] = ["dev", "staging", "prod", "prod-canary"];
/// The Jobs that go before a release.
pub(crate) const MIGRATIONS: [&str; 4] = [
    "dev/migrations",
    "staging/migrations",
    "prod/migrations",
    "prod-canary/migrations",
];

/// Reads all documents of standard input and prints them as one JSON array.
const TO_JSON: &str = "import json, sys, yaml; \
                       json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], sys.stdout)";

/// One rendered overlay.
pub(crate) struct Cluster {
    pub(crate) overlay: String,
    pub(crate) objects: Vec<Value>,
}

/// A pod as its controller makes it.
pub(crate) struct Pod<'a> {
    pub(crate) name: &'a str,
    /// The kind of its controller.
    pub(crate) kind: &'a str,
    pub(crate) labels: BTreeMap<&'a str, &'a str>,
    pub(crate) spec: &'a Value,
}

/// A program that `cargo xtask test` installs.
pub(crate) fn tool(name: &str) -> Command {
    Command::new(testkit::python(name).expect("cargo xtask test has installed it"))
}

/// A program's output; it must succeed.
pub(crate) fn output(mut command: Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    output
}

/// The YAML that the overlay renders to.
pub(crate) fn rendered(overlay: &str) -> Vec<u8> {
    let mut kubectl = tool("kubectl");
    kubectl.arg("kustomize").arg(folder(overlay));
    output(kubectl).stdout
}

fn folder(overlay: &str) -> PathBuf {
    repository("k8s/overlays").join(overlay)
}

/// All documents of a YAML text.
pub(crate) fn yaml(text: Vec<u8>) -> Vec<Value> {
    let mut python = tool("python");
    python.args(["-c", TO_JSON]);
    python.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("python starts");
    let mut input = child.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, &text));
    let output = child.wait_with_output().expect("python ends");
    writer.join().expect("no panic").expect("python reads all");
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("python writes JSON")
}

impl Cluster {
    pub(crate) fn render(overlay: &str) -> Self {
        Self {
            overlay: overlay.to_owned(),
            objects: yaml(rendered(overlay)),
        }
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        OVERLAYS.into_iter().map(Self::render)
    }

    pub(crate) fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects
            .iter()
            .filter(move |object| object["kind"] == kind)
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of(kind)
            .find(|object| object["metadata"]["name"] == name)
    }

    /// Every kind of pod that runs here.
    pub(crate) fn pods(&self) -> Vec<Pod<'_>> {
        let controllers = self.objects.iter().filter(|object| {
            let kind = text(&object["kind"]);
            ["Deployment", "StatefulSet", "Job"].contains(&kind)
        });
        controllers
            .map(|object| Pod {
                name: text(&object["metadata"]["name"]),
                kind: text(&object["kind"]),
                labels: labels(&object["spec"]["template"]["metadata"]["labels"]),
                spec: &object["spec"]["template"]["spec"],
            })
            .collect()
    }
}

impl Pod<'_> {
    pub(crate) fn containers(&self) -> &[Value] {
        list(&self.spec["containers"])
    }

    /// The numbers of its ports.
    pub(crate) fn ports(&self) -> Vec<u64> {
        let ports = self
            .containers()
            .iter()
            .flat_map(|container| list(&container["ports"]));
        ports
            .filter_map(|port| port["containerPort"].as_u64())
            .collect()
    }

    /// Which part of Banyan this is, by its image: `quiz` for `…/banyan-quiz:0.1.0`.
    pub(crate) fn part(&self) -> Option<&str> {
        let image = text(&self.containers()[0]["image"]);
        let (name, _) = image.rsplit_once(':')?;
        name.rsplit('/').next()?.strip_prefix("banyan-")
    }
}

/// Whether a label selector takes these labels; an empty one takes all.
pub(crate) fn selects(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let wanted = self::labels(&selector["matchLabels"]);
    let expressions = list(&selector["matchExpressions"]).iter();
    wanted
        .iter()
        .all(|(name, value)| labels.get(name) == Some(value))
        && expressions.clone().all(|expression| {
            assert_eq!(expression["operator"], "In", "the only operator in use");
            let value = labels.get(text(&expression["key"]));
            let values = list(&expression["values"]);
            value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
        })
}

pub(crate) fn labels(value: &Value) -> BTreeMap<&str, &str> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| (name.as_str(), text(value)))
        .collect()
}

/// The items of a list; none where there is no list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
