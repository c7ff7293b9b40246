//! Whether each part answers and says that it can serve.

use reqwest::Method;
use serde_json::Value;

use super::{Finding, Runbook, Seen};
use crate::{
    client::{Refused, refusal},
    verbs::Context,
};

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    let client = &context.client;
    let admin = client.admin(Method::GET, "/health/ready", None).await;
    note("gateway", "gateway", &admin, seen);
    // All at once: one that waits for a dependency must not hold up the others.
    let services = client.endpoints().services.keys();
    let asked = services.map(async |service| {
        let replicas = client.each(service, "/health/ready").await;
        (service, replicas.unwrap_or_default())
    });
    for (service, replicas) in futures::future::join_all(asked).await {
        for (name, answer) in replicas {
            note(service, &name, &answer, seen);
        }
    }
}

/// Notes what a process of `part` says of itself.
fn note(part: &str, place: &str, answer: &anyhow::Result<Value>, seen: &mut Seen) {
    match answer {
        Ok(report) => seen.found.extend(judged(place, report, true)),
        Err(error) => match refusal(error) {
            Some(Refused { problem, .. }) => seen.found.extend(judged(place, problem, false)),
            None => seen.is_silent(part, silent(place, error)),
        },
    }
}

fn judged(place: &str, report: &Value, is_ready: bool) -> Vec<Finding> {
    let (down, degraded) = (unwell(report, "down"), unwell(report, "degraded"));
    let mut findings = Vec::new();
    if !is_ready {
        findings.push(Finding {
            place: place.to_owned(),
            what: format!("is not ready: {}", list(&down)),
            act: "mend the dependency; it becomes ready by itself".to_owned(),
            runbook: of_down(&down),
        });
    }
    findings.extend(degraded.iter().map(|one| Finding {
        place: place.to_owned(),
        what: format!("serves, with less: {}", list(&[*one])),
        act: "mend the dependency; it is used again by itself".to_owned(),
        runbook: of_degraded(one.0),
    }));
    findings
}

/// The dependencies in this state, each with its reason.
fn unwell<'a>(report: &'a Value, state: &'static str) -> Vec<(&'a str, &'a str)> {
    let dependencies = report["dependencies"].as_object().into_iter().flatten();
    let those = dependencies.filter(|(_, one)| one["status"] == state);
    let reason = |one: &'a Value| one["reason"].as_str().unwrap_or(state);
    those
        .map(|(name, one)| (name.as_str(), reason(one)))
        .collect()
}

fn silent(place: &str, error: &anyhow::Error) -> Finding {
    Finding {
        place: place.to_owned(),
        what: format!("does not answer: {error:#}"),
        act: "start it; its last log lines say why it is gone".to_owned(),
        runbook: Runbook::ServiceCrashed,
    }
}

fn list(dependencies: &[(&str, &str)]) -> String {
    let one = |(name, reason): &(&str, &str)| format!("{name} ({reason})");
    dependencies.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn of_down(down: &[(&str, &str)]) -> Runbook {
    let has = |wanted: &str| down.iter().any(|(name, _)| *name == wanted);
    // PostgreSQL's own words: the server is there, the log in it is not.
    let is_log_gone = |(name, reason): &(&str, &str)| {
        *name == "log" && reason.contains("database") && reason.contains("does not exist")
    };
    if down.iter().any(is_log_gone) {
        Runbook::LogLost
    } else if has("database") || has("log") {
        Runbook::PostgresDown
    } else if has("publisher") || has("consumers") {
        // A cursor or a checkpoint is not of this log.
        Runbook::RestoreFromBackup
    } else {
        Runbook::ServiceCrashed
    }
}

fn of_degraded(name: &str) -> Runbook {
    match name {
        "database_disk" | "log_disk" => Runbook::DiskFull,
        _ => Runbook::BrokerDown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(dependencies: &Value) -> Vec<Finding> {
        let problem = json!({ "status": "not_ready", "dependencies": dependencies });
        judged("quiz", &problem, false)
    }

    #[test]
    fn a_dependency_that_is_down_is_named_with_its_reason() {
        let found = found(&json!({
            "database": { "status": "up" },
            "log": { "status": "down", "reason": "refused" },
        }));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "is not ready: log (refused)");
        assert_eq!(found[0].runbook, Runbook::PostgresDown);
    }

    #[test]
    fn what_a_ready_part_does_without_is_found_each_for_itself() {
        let report = json!({ "status": "ready", "dependencies": {
            "bus": { "status": "degraded", "reason": "not connected" },
            "database": { "status": "up" },
            "log_disk": { "status": "degraded", "reason": "read only" },
        }});
        let found = judged("quiz", &report, true);
        let runbooks: Vec<_> = found.iter().map(|one| one.runbook).collect();
        assert_eq!(runbooks, [Runbook::BrokerDown, Runbook::DiskFull]);
        assert_eq!(found[0].what, "serves, with less: bus (not connected)");
    }

    #[test]
    fn who_does_not_answer_at_all_has_crashed_and_who_refuses_the_log_has_not() {
        let mut seen = Seen::default();
        let answer = Err(anyhow::anyhow!("connection refused"));
        note("quiz", "quiz at http://a", &answer, &mut seen);
        let silent = seen.findings();
        assert_eq!(silent[0].place, "quiz at http://a");
        assert_eq!(silent[0].runbook, Runbook::ServiceCrashed);
        let refuses = json!({ "consumers": { "status": "down", "reason": "another epoch" } });
        assert_eq!(found(&refuses)[0].runbook, Runbook::RestoreFromBackup);
        let gone =
            json!({ "log": { "status": "down", "reason": "database \"log\" does not exist" } });
        assert_eq!(found(&gone)[0].runbook, Runbook::LogLost);
    }
}
