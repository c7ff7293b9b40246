//! A candidate that fails or is slow, as the gateway sees it at this moment: two looks at its
//! counters, which only grow.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::{Finding, Runbook, Seen, items};
use crate::verbs::Context;

/// Between the two looks.
const WATCHED: Duration = Duration::from_millis(1_500);
/// Requests in that time below which nothing is concluded.
const ENOUGH: f64 = 5.0;
/// Of so many answers one may be a 5xx; a service that is well gives none.
const FAILED_SHARE: f64 = 0.05;
/// A mean above this is slow for anything that the services do, but for waiting for a saga's end.
const SLOW: f64 = 2_000.0;

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    let Some(before) = look(context, seen).await else {
        return;
    };
    let moving = |route: &Value| route["candidate"].is_string();
    if !items(&before).any(moving) {
        return;
    }
    tokio::time::sleep(WATCHED).await;
    if let Some(after) = look(context, seen).await {
        seen.found.extend(judged(&before, &after));
    }
}

async fn look(context: &Context, seen: &mut Seen) -> Option<Value> {
    let path = "/admin/routes";
    let answer = context.client.admin(Method::GET, path, None).await;
    seen.answered("gateway", answer)
}

/// What one side answered between two looks.
struct Side {
    requests: f64,
    failed: f64,
    millis: f64,
}

impl Side {
    fn between(before: &Value, after: &Value, side: &str) -> Self {
        let number = |route: &Value, pointer: &str| {
            let value = route.pointer(&format!("/stats/{side}/{pointer}"));
            value.and_then(Value::as_f64).unwrap_or(0.0)
        };
        let grown = |pointer: &str| number(after, pointer) - number(before, pointer);
        let total =
            |route: &Value| number(route, "latency/count") * number(route, "latency/meanMs");
        Self {
            requests: grown("requests"),
            failed: grown("byClass/5xx"),
            millis: total(after) - total(before),
        }
    }

    fn failed_share(&self) -> f64 {
        if self.requests > 0.0 {
            self.failed / self.requests
        } else {
            0.0
        }
    }
}

fn judged(before: &Value, after: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for now in items(after).filter(|route| route["candidate"].is_string()) {
        let id = now["id"].as_str().unwrap_or_default();
        let Some(then) = items(before).find(|route| route["id"] == id) else {
            continue;
        };
        let legacy = Side::between(then, now, "legacy");
        let candidate = Side::between(then, now, "candidate");
        if candidate.requests < ENOUGH {
            continue;
        }
        let (failed, mean) = (
            candidate.failed_share(),
            candidate.millis / candidate.requests,
        );
        let what = if failed > FAILED_SHARE && failed > legacy.failed_share() {
            format!("{:.0} % of its answers are 5xx", failed * 100.0)
        } else if mean > SLOW {
            format!("its answers take {mean:.0} ms")
        } else {
            continue;
        };
        let name = now["candidate"].as_str().unwrap_or_default();
        let flag = now["flag"].as_str().unwrap_or_default();
        findings.push(Finding {
            place: format!("{name} (route {id})"),
            what: format!("the candidate is not well: {what}"),
            act: format!("banyan flags rollback {flag} --reason …"),
            runbook: Runbook::BadRelease,
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(requests: u32, failed: u32, count: u32, mean: f64) -> Value {
        json!({ "items": [{
            "id": "answers", "candidate": "quiz", "flag": "quiz-cutover",
            "stats": {
                "legacy": { "requests": 10, "byClass": {}, "latency": { "count": 0, "meanMs": 0 } },
                "candidate": { "requests": requests, "byClass": { "5xx": failed },
                               "latency": { "count": count, "meanMs": mean } },
            },
        }]})
    }

    #[test]
    fn a_candidate_that_fails_or_is_slow_now_is_told_and_an_old_fault_is_not() {
        let before = table(100, 90, 100, 10.0);
        let told = |after: Value| judged(&before, &after).len();
        assert_eq!(told(table(110, 91, 110, 10.0)), 1, "one of ten failed");
        assert_eq!(
            told(table(110, 90, 110, 10.0)),
            0,
            "what failed earlier is over"
        );
        assert_eq!(told(table(104, 94, 104, 10.0)), 0, "too few to judge");
        assert_eq!(told(table(110, 90, 110, 300.0)), 1, "ten took seconds");
    }
}
