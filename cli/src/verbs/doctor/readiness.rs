//! Whether each part answers and says that it can serve.

use reqwest::Method;

use super::{Finding, Runbook};
use crate::{client::Refused, verbs::Context};

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let client = &context.client;
    let mut findings = Vec::new();
    let admin = client.admin(Method::GET, "/health/ready", None).await;
    findings.extend(admin.err().and_then(|error| not_ready("gateway", &error)));
    for service in client.endpoints().services.keys() {
        let answer = client
            .ops(service, Method::GET, "/health/ready", None)
            .await;
        findings.extend(answer.err().and_then(|error| not_ready(service, &error)));
    }
    findings
}

fn not_ready(place: &str, error: &anyhow::Error) -> Option<Finding> {
    let Some(refused) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Refused>())
    else {
        return Some(Finding {
            place: place.to_owned(),
            what: format!("does not answer: {error:#}"),
            act: "start it; its last log lines say why it is gone".to_owned(),
            runbook: Runbook::ServiceCrashed,
        });
    };
    let down: Vec<(&str, &str)> = refused.problem["dependencies"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, state)| state["status"] != "up")
        .map(|(name, state)| (name.as_str(), state["reason"].as_str().unwrap_or("down")))
        .collect();
    let list: Vec<_> = down
        .iter()
        .map(|(name, reason)| format!("{name} ({reason})"))
        .collect();
    Some(Finding {
        place: place.to_owned(),
        what: format!("is not ready: {}", list.join(", ")),
        act: "mend the dependency; it becomes ready by itself".to_owned(),
        runbook: runbook(&down),
    })
}

fn runbook(down: &[(&str, &str)]) -> Runbook {
    let has = |wanted: &str| down.iter().any(|(name, _)| *name == wanted);
    if has("database") || has("log") {
        Runbook::PostgresDown
    } else if has("publisher") || has("consumers") {
        // A cursor or a checkpoint is not of this log.
        Runbook::DataInconsistent
    } else {
        Runbook::ServiceCrashed
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(dependencies: &serde_json::Value) -> Finding {
        let problem = json!({ "status": "not_ready", "dependencies": dependencies });
        let error = crate::client::refused_for_test(503, &problem);
        not_ready("quiz", &error).unwrap()
    }

    #[test]
    fn a_dependency_that_is_down_is_named_with_its_reason() {
        let found = found(&json!({
            "database": { "status": "up" },
            "log": { "status": "down", "reason": "refused" },
        }));
        assert_eq!(found.what, "is not ready: log (refused)");
        assert_eq!(found.runbook, Runbook::PostgresDown);
    }

    #[test]
    fn who_does_not_answer_at_all_has_crashed() {
        let found = not_ready("quiz", &anyhow::anyhow!("connection refused")).unwrap();
        assert_eq!(found.runbook, Runbook::ServiceCrashed);
        let refuses = json!({ "consumers": { "status": "down", "reason": "another epoch" } });
        assert_eq!(
            super::tests::found(&refuses).runbook,
            Runbook::DataInconsistent
        );
    }
}
