//! What the gateway says of the servers behind it: who is left alone, and where there is more to do
//! than is let through. It is also the only one who knows each replica.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::{Finding, Runbook, Seen, items};
use crate::verbs::Context;

/// Between two looks at the counts of refusals, where there were any: what grows in this time is
/// going on now.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    let Some(before) = look(context, seen).await else {
        return;
    };
    seen.found.extend(items(&before).flat_map(left_alone));
    if items(&before).any(|upstream| refused(upstream) > 0) {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        if let Some(later) = look(context, seen).await {
            seen.found.extend(overloaded(&before, &later));
        }
    }
}

async fn look(context: &Context, seen: &mut Seen) -> Option<Value> {
    let path = "/admin/upstreams";
    let answer = context.client.admin(Method::GET, path, None).await;
    seen.answered("gateway", answer)
}

/// Requests that found the bulkhead full, since the gateway began.
fn refused(upstream: &Value) -> i64 {
    upstream["refused"]["full"].as_i64().unwrap_or(0)
}

/// Upstreams that refused requests between the two looks.
fn overloaded(before: &Value, later: &Value) -> Vec<Finding> {
    let more = |upstream: &Value| {
        let earlier = items(before).find(|one| one["id"] == upstream["id"]);
        refused(upstream) - earlier.map_or(0, refused)
    };
    let grown = items(later).filter(|upstream| more(upstream) > 0);
    let found = grown.map(|upstream| Finding {
        place: format!("gateway/{}", text(upstream, "id")),
        what: format!(
            "refused {} requests in {} s: its max_in_flight of {} is reached",
            more(upstream),
            BETWEEN_LOOKS.as_secs(),
            upstream["maxInFlight"]
        ),
        act: "is it slow, or are there more requests? banyan routes list".to_owned(),
        runbook: Runbook::GatewayOverloaded,
    });
    found.collect()
}

/// Endpoints that fail their check or whose circuit is open.
fn left_alone(upstream: &Value) -> Vec<Finding> {
    let endpoints = upstream["endpoints"].as_array().into_iter().flatten();
    let found = endpoints.filter_map(|endpoint| {
        let why = if endpoint["healthy"] == false {
            "fails its health check"
        } else if endpoint["breaker"] == "open" {
            "failed repeatedly, its circuit is open"
        } else {
            return None;
        };
        Some(Finding {
            place: format!("gateway/{}", text(upstream, "id")),
            what: format!("{} {why}", text(endpoint, "address")),
            act: "is that process there? its last log lines".to_owned(),
            runbook: Runbook::ServiceCrashed,
        })
    });
    found.collect()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upstreams(full: i64) -> Value {
        json!({ "items": [
            { "id": "quiz", "maxInFlight": 2, "refused": { "full": full }, "endpoints": [
                { "address": "http://a", "healthy": true, "breaker": "closed" },
                { "address": "http://b", "healthy": true, "breaker": "open" },
                { "address": "http://c", "healthy": false },
            ] },
        ] })
    }

    #[test]
    fn only_refusals_that_go_on_are_told() {
        assert_eq!(overloaded(&upstreams(5), &upstreams(5)).len(), 0);
        let found = overloaded(&upstreams(5), &upstreams(8));
        let wanted = "refused 3 requests in 1 s: its max_in_flight of 2 is reached";
        assert_eq!(found[0].what, wanted);
    }

    #[test]
    fn each_endpoint_that_is_left_alone_is_told() {
        let upstreams = upstreams(0);
        let found: Vec<_> = items(&upstreams).flat_map(left_alone).collect();
        assert_eq!(found.len(), 2);
        assert!(found[1].what.starts_with("http://c"), "{found:?}");
    }
}
