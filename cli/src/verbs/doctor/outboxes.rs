//! Events that do not get into the log.

use reqwest::Method;

use super::{Finding, Runbook, Seen};
use crate::verbs::{Context, consumers::with_consumers};

/// An outbox row older than this says that the relay does not get through to the log.
const AGE_WORTH_A_LOOK: f64 = 10.0;

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    let client = &context.client;
    for service in with_consumers(client.endpoints()) {
        let answer = client.ops(&service, Method::GET, "/ops/outbox", None).await;
        let Some(outbox) = seen.answered(&service, answer) else {
            continue;
        };
        let age = outbox["oldestSeconds"].as_f64().unwrap_or(0.0);
        if age > AGE_WORTH_A_LOOK {
            seen.found.push(Finding {
                place: service.clone(),
                what: format!("has an event that waits for the log since {age:.0} s"),
                act: "is the log reachable? banyan events stats".to_owned(),
                runbook: Runbook::PostgresDown,
            });
        }
        let stuck = outbox["stuck"].as_i64().unwrap_or(0);
        if stuck > 0 {
            seen.found.push(Finding {
                place: service,
                what: format!("{stuck} events were refused by the log; their streams stand still"),
                act: "two writers for one stream? see its log".to_owned(),
                runbook: Runbook::DataInconsistent,
            });
        }
    }
}
