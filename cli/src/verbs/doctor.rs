use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Context,
    consumers::{everywhere, with_consumers},
};
use crate::{client::Refused, output::Column};

/// A consumer this far behind the log's head is worth a look.
const LAG_WORTH_A_LOOK: i64 = 1_000;
/// An outbox row older than this says that the relay does not get through to the log.
const OUTBOX_AGE_WORTH_A_LOOK: f64 = 10.0;

/// Sagas in one list at most; the owner gives no more.
const SAGAS_SHOWN: usize = 200;

const COLUMNS: &[Column] = &[("where", "/where"), ("what", "/what"), ("do", "/do")];

/// `banyan doctor`: exit 1 when anything was found.
pub(super) async fn run(context: &Context) -> anyhow::Result<()> {
    let mut findings = readiness(context).await;
    findings.extend(flags(context).await);
    findings.extend(consumers(context).await);
    findings.extend(outboxes(context).await);
    findings.extend(sagas(context).await);
    if findings.is_empty() {
        let answer = json!({ "items": [] });
        return Ok(context
            .format
            .done("Everything that was looked at is well.", &answer)?);
    }
    context
        .format
        .list(&json!({ "items": findings }), COLUMNS)?;
    bail!("{} findings", findings.len())
}

fn finding(place: &str, what: impl Into<String>, act: &str) -> Value {
    json!({ "where": place, "what": what.into(), "do": act })
}

async fn readiness(context: &Context) -> Vec<Value> {
    let client = &context.client;
    let mut findings = Vec::new();
    let admin = client.admin(Method::GET, "/health/ready", None).await;
    findings.extend(not_ready("gateway", admin.err()));
    for service in client.endpoints().services.keys() {
        let answer = client
            .ops(service, Method::GET, "/health/ready", None)
            .await;
        findings.extend(not_ready(service, answer.err()));
    }
    findings
}

fn not_ready(place: &str, error: Option<anyhow::Error>) -> Option<Value> {
    let error = error?;
    let Some(refused) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Refused>())
    else {
        let act = "start it; its last log lines say why it is gone";
        return Some(finding(place, format!("does not answer: {error:#}"), act));
    };
    let down: Vec<_> = refused.problem["dependencies"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, state)| state["status"] != "up")
        .map(|(name, state)| format!("{name} ({})", state["reason"].as_str().unwrap_or("down")))
        .collect();
    let what = format!("is not ready: {}", down.join(", "));
    Some(finding(
        place,
        what,
        "mend the dependency; it becomes ready by itself",
    ))
}

async fn flags(context: &Context) -> Vec<Value> {
    let Ok(answer) = context
        .client
        .admin(Method::GET, "/admin/flags", None)
        .await
    else {
        return Vec::new();
    };
    items(&answer)
        .filter(|flag| flag["killed"] == true)
        .map(|flag| {
            let id = flag["id"].as_str().unwrap_or_default();
            let act = format!("when mended: banyan flags set {id} --killed false --reason …");
            finding(id, "is rolled back: everybody is on legacy", &act)
        })
        .collect()
}

async fn consumers(context: &Context) -> Vec<Value> {
    let mut findings = Vec::new();
    for consumer in everywhere(context, "/ops/consumers").await {
        let service = consumer["service"].as_str().unwrap_or_default();
        let name = consumer["name"].as_str().unwrap_or_default();
        let place = format!("{service}/{name}");
        match consumer["state"].as_str().unwrap_or_default() {
            "unreachable" => continue,
            "paused" => {
                let act = format!("banyan consumers resume {service} {name}");
                findings.push(finding(&place, "is paused", &act));
            }
            "refused" => {
                let what = format!("stands still: {}", consumer["reason"]);
                let act = "the log is not the one it knew: restore both to one point, or replay";
                findings.push(finding(&place, what, act));
            }
            _ => {}
        }
        let lag = consumer["lag"].as_i64().unwrap_or(0);
        if lag > LAG_WORTH_A_LOOK {
            let act = "banyan consumers list, twice: does the lag shrink?";
            findings.push(finding(&place, format!("is {lag} events behind"), act));
        }
        let parked = consumer["parked"].as_i64().unwrap_or(0);
        if parked > 0 {
            findings.push(finding(
                &place,
                format!("parked {parked} events"),
                "banyan dlq list",
            ));
        }
    }
    findings
}

async fn outboxes(context: &Context) -> Vec<Value> {
    let mut findings = Vec::new();
    for service in with_consumers(context.client.endpoints()) {
        let answer = context
            .client
            .ops(&service, Method::GET, "/ops/outbox", None)
            .await;
        let Ok(outbox) = answer else { continue };
        let age = outbox["oldestSeconds"].as_f64().unwrap_or(0.0);
        if age > OUTBOX_AGE_WORTH_A_LOOK {
            let what = format!("has an event that waits for the log since {age:.0} s");
            findings.push(finding(
                &service,
                what,
                "is the log reachable? banyan events stats",
            ));
        }
        let stuck = outbox["stuck"].as_i64().unwrap_or(0);
        if stuck > 0 {
            let what = format!("{stuck} events were refused by the log; their streams stand still");
            findings.push(finding(
                &service,
                what,
                "two writers for one stream? see its log",
            ));
        }
    }
    findings
}

async fn sagas(context: &Context) -> Vec<Value> {
    let mut findings = Vec::new();
    for (state, act) in [
        (
            "needs_intervention",
            "banyan sagas show ID, then retry, resolve --outcome undone, or abandon",
        ),
        (
            "parked",
            "run the version of the service that knows its definition",
        ),
    ] {
        let path = format!("/ops/sagas?state={state}&limit={SAGAS_SHOWN}");
        let Ok(answer) = context.client.ops("quiz", Method::GET, &path, None).await else {
            continue;
        };
        let count = items(&answer).count();
        if count > 0 {
            findings.push(finding(
                "quiz",
                format!("{count} sagas are in {state}"),
                act,
            ));
        }
    }
    findings
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_is_down_is_named_with_its_reason() {
        let problem = json!({ "status": "not_ready", "dependencies": {
            "database": { "status": "up" },
            "log": { "status": "down", "reason": "refused" },
        }});
        let error = crate::client::refused_for_test(503, &problem);
        let found = not_ready("quiz", Some(error)).unwrap();
        assert_eq!(found["what"], "is not ready: log (refused)");
        assert_eq!(not_ready("quiz", None), None);
    }
}
