//! What a running system shows, against everything that names it.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{documented, files, promtool, selected, text};
use crate::{
    PATIENCE,
    distributed::{SERVICES, Setup, System},
    player::{Player, expect},
};

/// What Prometheus itself makes, and what another exporter has.
const NOT_OURS: [&str; 4] = [
    "up",
    "ALERTS",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
];
/// What Prometheus adds to each series, or gives another name.
const ADDED_LABELS: [&str; 5] = ["job", "instance", "part", "exported_job", "alertstate"];

/// What one or more parts show.
#[derive(Debug, Default)]
struct Shown {
    /// Families, by the names that their type lines have.
    families: BTreeSet<String>,
    /// Labels by the names of the samples: a histogram has three.
    samples: BTreeMap<String, BTreeSet<String>>,
    /// Every series of every part, without its value.
    series: BTreeSet<String>,
}

impl Shown {
    fn take(&mut self, part: &str, exposition: &str) {
        for line in exposition.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let name = family.split(' ').next().expect("a name");
                self.families.insert(name.to_owned());
            } else if !line.starts_with('#') {
                let (series, _value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                // No value of ours has `="` in it.
                let labels = labels.split("=\"").map(|part| {
                    let start = part.rfind(['"', ',']).map_or(0, |at| at + 1);
                    part[start..].to_owned()
                });
                let known = self.samples.entry(name.to_owned()).or_default();
                known.extend(labels.filter(|label| !label.is_empty() && label != "}"));
                self.series.insert(format!("{part}: {series}"));
            }
        }
    }
}

/// The parts that have metrics.
fn parts() -> impl Iterator<Item = &'static str> {
    SERVICES.into_iter().chain(["log", "quiz-2", "operators"])
}

async fn exposition(system: &System, part: &str) -> String {
    let answer = reqwest::get(format!("{}/metrics", system.url(part))).await;
    let answer = answer.expect("an answer");
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer.text().await.expect("a text")
}

async fn shown(system: &System) -> Shown {
    let mut shown = Shown::default();
    for part in parts() {
        shown.take(part, &exposition(system, part).await);
    }
    shown
}

/// Something of everything that is counted: an answer on the candidate, a run of a job.
async fn used(system: &System) {
    let mut player = Player::register(&system.url("gateway"), "Katherine").await;
    system.move_everything().await;
    player.login().await;
    let question = &player.questions().await[0];
    let answer = player.answer(question, "once").await.expect("an answer");
    let _: Value = expect(answer, StatusCode::OK).await;
    let curator = system.administrator().await;
    let path = "/api/admin/maintenance/health";
    let run = reqwest::Client::new()
        .post(format!("{}{path}", system.url("maintenance")))
        .bearer_auth(&curator.session.access_token)
        .json(&json!({ "reason": "test" }))
        .send();
    let _: Value = expect(run.await.expect("an answer"), StatusCode::OK).await;
}

/// Paths, hosts, methods and headers that nobody else has sent; `round` makes them new.
async fn hostile(system: &System, round: u32) {
    let client = reqwest::Client::new();
    for target in parts().chain(["gateway"]) {
        for number in 0..4 {
            let method = Method::from_bytes(format!("BREW{round}").as_bytes()).expect("a method");
            for method in [Method::GET, method] {
                let unknown = format!("{}/x{round}/{number}%22%0A", system.url(target));
                let known = format!("{}/api/questions/{round}-{number}", system.url(target));
                let scrape = format!("{}/metrics/{round}-{number}", system.url(target));
                for url in [unknown, known, scrape] {
                    let request = client
                        .request(method.clone(), url)
                        .header("host", format!("h{round}-{number}.example"))
                        .header("x-user-id", format!("u{round}-{number}"))
                        .header("x-trace-id", format!("t{round}-{number}"))
                        .header("authorization", format!("Bearer t{round}.{number}"));
                    request.send().await.expect("an answer, whatever it says");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_named_exists_and_what_exists_is_documented_and_bounded() {
    // What is shown only where it is configured.
    let more = "max_in_flight = 512\n\
                breaker = { failures = 5, window = \"10s\", open_for = \"5s\" }";
    let system = System::start_as(Setup {
        settings: vec![("upstreams.quiz", more.to_owned())],
        ..Setup::default()
    });
    let system = system.await;
    used(&system).await;

    // A well-formed text from every part.
    for part in parts() {
        let exposition = exposition(&system, part).await;
        if let Err(error) = promtool(&["check", "metrics"], &exposition).await {
            panic!("{part}: {error}");
        }
    }

    // Once the jobs' run is counted, all there is has been seen.
    let wanted = documented("\n## Metrics\n", Some("\nThe hops of "));
    let wanted: BTreeSet<_> = wanted
        .union(&documented("\n### Consumers\n", Some("\n### External\n")))
        .cloned()
        .collect();
    let all = testkit::eventually(PATIENCE, || async {
        let all = shown(&system).await;
        wanted.is_subset(&all.families).then_some(all)
    });
    let all = all.await;
    assert_eq!(wanted, all.families, "docs/signals.md");

    let used = everything_named(&all).await;
    let unused: Vec<_> = all.families.difference(&used).collect();
    let mut list: Vec<String> = unused.iter().map(|name| format!("`{name}`")).collect();
    if list.is_empty() {
        list.push("none".to_owned());
    }
    let said = format!("For a closer look only: {}.", list.join(", "));
    let document = text("docs/signals.md");
    let words: Vec<&str> = document.split_whitespace().collect();
    assert!(words.join(" ").contains(&said), "docs/signals.md: {said}");

    // Each kind of hostility has been seen once; the next of each adds nothing.
    hostile(&system, 1).await;
    let before = shown(&system).await.series;
    hostile(&system, 2).await;
    let after = shown(&system).await.series;
    // Jobs run by the clock meanwhile; each of them is in the code.
    let grown = after
        .difference(&before)
        .filter(|series| !series.contains(" maintenance_run"));
    assert_eq!(grown.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The families that rules and dashboards name, each of which is shown with the labels that it is
/// selected by; those of the rules' tests are, too.
async fn everything_named(shown: &Shown) -> BTreeSet<String> {
    let rules = files::rules();
    let recorded: BTreeSet<&str> = rules.iter().filter_map(|r| r.record.as_deref()).collect();
    let mut named: Vec<(String, String)> = Vec::new();
    for rule in &rules {
        let place = rule.alert.as_ref().or(rule.record.as_ref());
        named.push((place.cloned().unwrap_or_default(), rule.expr.clone()));
    }
    let queries = files::queries();
    named.extend(
        queries
            .into_iter()
            .map(|query| (query.place, query.expression)),
    );
    let count = named.len();
    let made_up = files::made_up_series().into_iter();
    named.extend(made_up.map(|series| ("a rule's test".to_owned(), series)));

    let expressions: Vec<String> = named
        .iter()
        .map(|(_, expression)| expression.clone())
        .collect();
    let mut used = BTreeSet::new();
    for (index, selectors) in selected(&expressions).await.into_iter().enumerate() {
        let place = &named[index];
        for (name, labels) in selectors {
            if NOT_OURS.contains(&name.as_str()) || recorded.contains(name.as_str()) {
                continue;
            }
            let known = shown.samples.get(&name);
            let known = known.unwrap_or_else(|| panic!("{place:?} names {name}: there is none"));
            for label in labels {
                assert!(
                    known.contains(&label) || ADDED_LABELS.contains(&label.as_str()),
                    "{place:?}: {name} has no label {label}, only {known:?}"
                );
            }
            if index < count {
                used.extend(family(shown, &name));
            }
        }
    }
    used
}

/// The family of a sample.
fn family(shown: &Shown, sample: &str) -> Option<String> {
    let suffixes = ["", "_bucket", "_sum", "_count"];
    let names = suffixes
        .iter()
        .filter_map(|suffix| sample.strip_suffix(suffix));
    let mut families = names.filter(|name| shown.families.contains(*name));
    families.next().map(ToOwned::to_owned)
}
