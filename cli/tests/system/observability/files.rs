//! The files of `observability/`, as far as they can be judged by themselves.

use std::{collections::BTreeSet, path::Path};

use figment::{
    Figment,
    providers::{Format, Yaml},
};
use serde::Deserialize;
use serde_json::Value;

use super::{documented, files_of, promtool, root, text};

pub(super) const RULES: &str = "observability/prometheus/rules";
const TESTS: &str = "observability/prometheus/tests";
const DASHBOARDS: &str = "observability/grafana/dashboards";

/// A rule of Prometheus.
#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    pub(super) record: Option<String>,
    pub(super) alert: Option<String>,
    pub(super) expr: String,
    #[serde(default)]
    labels: Value,
    #[serde(default)]
    annotations: Value,
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    input_series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    series: String,
}

/// A query of a dashboard, and where it stands.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) place: String,
    pub(super) expression: String,
}

fn yaml<T: serde::de::DeserializeOwned>(path: &str) -> T {
    let figment = Figment::from(Yaml::file(root().join(path)));
    figment
        .extract()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All rules, recorded ones and alerts.
pub(super) fn rules() -> Vec<Rule> {
    let files = files_of(RULES, ".yml").into_iter();
    let groups = files.flat_map(|file| yaml::<Rules>(&file).groups);
    groups.flat_map(|group| group.rules).collect()
}

/// The series that the rules' tests make up.
pub(super) fn made_up_series() -> Vec<String> {
    let files = files_of(TESTS, ".yml").into_iter();
    let tests = files.flat_map(|file| yaml::<Tests>(&file).tests);
    let series = tests.flat_map(|test| test.input_series);
    series.map(|series| series.series).collect()
}

fn dashboards() -> Vec<(String, Value)> {
    let files = files_of(DASHBOARDS, ".json").into_iter();
    files
        .map(|path| {
            let dashboard = serde_json::from_str(&text(&path));
            (
                path.clone(),
                dashboard.unwrap_or_else(|error| panic!("{path}: {error}")),
            )
        })
        .collect()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The queries of panels, annotations and variables, as Prometheus gets them.
pub(super) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (path, dashboard) in dashboards() {
        let mut add = |title: &Value, expression: &Value| {
            queries.push(Query {
                place: format!("{path}: {title}"),
                expression: expression
                    .as_str()
                    .expect("a query")
                    .replace("$__rate_interval", "1m"),
            });
        };
        for panel in list(&dashboard, "/panels") {
            for target in list(panel, "/targets") {
                add(&panel["title"], &target["expr"]);
            }
        }
        for annotation in list(&dashboard, "/annotations/list") {
            add(&annotation["name"], &annotation["expr"]);
        }
        for variable in list(&dashboard, "/templating/list") {
            // `label_values(metric, label)` is Grafana's own.
            if let Some(asked) = variable["query"]["query"].as_str() {
                let metric = asked.trim_start_matches("label_values(").split(',').next();
                add(&variable["name"], &Value::from(metric));
            }
        }
    }
    queries
}

#[tokio::test]
async fn the_configuration_and_the_rules_are_valid() {
    let checked = promtool(
        &["check", "config", "observability/prometheus/prometheus.yml"],
        "",
    );
    let said = checked.await.unwrap_or_else(|error| panic!("{error}"));
    let files = files_of(RULES, ".yml").len();
    assert!(
        said.contains(&format!("{files} rule files found")),
        "{said}"
    );
}

#[tokio::test]
async fn each_alert_fires_on_its_fault_and_none_while_all_is_well() {
    let tests = files_of(TESTS, ".yml");
    let mut arguments = vec!["test", "rules"];
    arguments.extend(tests.iter().map(String::as_str));
    if let Err(error) = promtool(&arguments, "").await {
        panic!("{error}");
    }
    let all: String = tests.iter().map(|path| text(path)).collect();
    for alert in rules().iter().filter_map(|rule| rule.alert.as_ref()) {
        let fires = format!("'{{alertname=\"{alert}\"}}'");
        assert!(all.contains(&fires), "no test makes {alert} fire");
    }
}

#[test]
fn each_alert_says_what_it_means_and_leads_to_a_runbook() {
    let alerts = rules().into_iter().filter(|rule| rule.alert.is_some());
    for rule in alerts {
        let severity = rule.labels["severity"].as_str();
        assert!(
            matches!(severity, Some("critical" | "warning" | "info")),
            "{rule:?}"
        );
        for annotation in ["summary", "description"] {
            let said = rule.annotations[annotation].as_str().unwrap_or_default();
            assert!(said.len() > 10, "{annotation} of {rule:?}");
        }
        let url = rule.annotations["runbook_url"].as_str().unwrap_or_default();
        is_runbook(url);
    }
}

/// Every alert and every panel of trouble leads to something to read.
fn is_runbook(path: &str) {
    let name = path.strip_prefix("runbooks/").unwrap_or_default();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../runbooks")
        .join(name);
    assert!(name.ends_with(".md") && file.is_file(), "{path}");
}

#[test]
fn the_documents_table_of_alerts_is_the_rules() {
    let rules = rules();
    let alerts: BTreeSet<String> = rules.iter().filter_map(|rule| rule.alert.clone()).collect();
    // Traces may stand behind, with tables of their own.
    assert_eq!(documented("\n## Alerts\n", Some("\n## ")), alerts);
    let document = text("docs/signals.md");
    for rule in rules.iter().filter(|rule| rule.alert.is_some()) {
        let name = rule.alert.as_deref().unwrap_or_default();
        let severity = rule.labels["severity"].as_str().unwrap_or_default();
        let row = format!("| `{name}` | {severity} | ");
        let row = document.lines().find(|line| line.starts_with(&row));
        let url = rule.annotations["runbook_url"].as_str().unwrap_or_default();
        assert!(
            row.is_some_and(|row| row.ends_with(&format!("(../{url}) |"))),
            "{name}: {row:?}"
        );
    }
}

#[test]
fn dashboards_are_whole() {
    let provisioned = text("observability/grafana/provisioning/datasources/banyan.yml");
    let mut uids = BTreeSet::new();
    for (path, dashboard) in dashboards() {
        let uid = dashboard["uid"].as_str().expect("a uid").to_owned();
        assert!(path.ends_with(&format!("/{uid}.json")), "{path}: {uid}");
        assert!(uids.insert(uid), "{path}");
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard, "/panels") {
            assert!(
                ids.insert(panel["id"].as_u64().expect("an id")),
                "{path}: {panel}"
            );
            if panel["type"] == "row" {
                continue;
            }
            for said in ["/title", "/description", "/fieldConfig/defaults/unit"] {
                let said = panel.pointer(said).and_then(Value::as_str);
                assert!(said.is_some_and(|said| !said.is_empty()), "{path}: {panel}");
            }
            let datasource = panel["datasource"]["uid"].as_str().expect("a datasource");
            assert!(
                provisioned.contains(&format!("uid: {datasource}\n")),
                "{path}"
            );
            for link in list(panel, "/links") {
                let url = link["url"].as_str().expect("a URL");
                is_runbook(&url.replace("${runbooks}", "runbooks"));
            }
        }
    }
}
