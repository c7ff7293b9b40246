//! Readers of the log that stand still, are late, or set events aside.

use std::time::Duration;

use serde_json::Value;

use super::{Finding, Runbook, Seen};
use crate::verbs::{Context, consumers::each};

/// A consumer this far behind the log's head is worth a look.
const LAG_WORTH_A_LOOK: i64 = 1_000;

/// A consumer that is behind and has not moved for this long is held up by something: it handles
/// hundreds of events in a second, and reads the log itself after 200 ms of silence.
const MOVES_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    let consumers = look(context, seen).await;
    seen.found.extend(consumers.iter().flat_map(judged));
    if consumers.iter().any(is_behind) {
        tokio::time::sleep(MOVES_WITHIN).await;
        let later = look(context, seen).await;
        seen.found.extend(standing_still(&consumers, &later));
    }
}

async fn look(context: &Context, seen: &mut Seen) -> Vec<Value> {
    let answers = each(context, "/ops/consumers").await.into_iter();
    let seen = answers.filter_map(|(service, answer)| seen.answered(&service, answer));
    seen.flatten().collect()
}

fn is_behind(consumer: &Value) -> bool {
    let reads = consumer["state"] == "running" || consumer["state"] == "standby";
    reads && consumer["lag"].as_i64().unwrap_or(0) > 0
}

/// Those that were behind, and are where they were.
fn standing_still(before: &[Value], later: &[Value]) -> Vec<Finding> {
    let same = |a: &Value, b: &Value| {
        ["service", "name", "position"]
            .iter()
            .all(|member| a[*member] == b[*member])
    };
    let stands = |one: &&Value| {
        is_behind(one)
            && before
                .iter()
                .any(|earlier| is_behind(earlier) && same(earlier, one))
    };
    let standing = later.iter().filter(stands);
    let found = standing.map(|one| Finding {
        place: place(one),
        what: format!("stands still, {} events behind", one["lag"]),
        act: "what does it wait for? its log, and its database's locks".to_owned(),
        runbook: Runbook::ConsumerLag,
    });
    found.collect()
}

fn place(consumer: &Value) -> String {
    let member = |name: &str| consumer[name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", member("service"), member("name"))
}

fn judged(consumer: &Value) -> Vec<Finding> {
    let service = consumer["service"].as_str().unwrap_or_default();
    let name = consumer["name"].as_str().unwrap_or_default();
    let finding = |what: String, act: &str, runbook| Finding {
        place: place(consumer),
        what,
        act: act.to_owned(),
        runbook,
    };
    let mut findings = Vec::new();
    match consumer["state"].as_str().unwrap_or_default() {
        "paused" => findings.push(finding(
            "is paused".to_owned(),
            &format!("banyan consumers resume {service} {name}"),
            Runbook::ConsumerLag,
        )),
        "refused" => findings.push(finding(
            format!("stands still: {}", consumer["reason"]),
            "was a database restored? log new-epoch and consumers adopt, in the runbook's order",
            Runbook::RestoreFromBackup,
        )),
        "waiting" => findings.push(finding(
            format!(
                "handles nothing in one of its processes: {}",
                consumer["reason"]
            ),
            "let all of its processes have the same number of parts",
            Runbook::ConsumerLag,
        )),
        _ => {}
    }
    let lag = consumer["lag"].as_i64().unwrap_or(0);
    if lag > LAG_WORTH_A_LOOK {
        findings.push(finding(
            format!("is {lag} events behind"),
            "banyan consumers list, twice: does the lag shrink?",
            Runbook::ConsumerLag,
        ));
    }
    let parked = consumer["parked"].as_i64().unwrap_or(0);
    if parked > 0 {
        findings.push(finding(
            format!("parked {parked} events"),
            "banyan dlq list",
            Runbook::PoisonEvent,
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_who_was_behind_and_has_not_moved_stands_still() {
        let at = |position: i64, lag: i64| {
            vec![
                json!({ "service": "quiz", "name": "sagas", "state": "running", "lag": lag,
                         "position": position }),
            ]
        };
        assert_eq!(standing_still(&at(5, 1), &at(5, 3)).len(), 1);
        assert_eq!(standing_still(&at(5, 1), &at(6, 3)).len(), 0);
        assert_eq!(
            standing_still(&at(5, 0), &at(5, 1)).len(),
            0,
            "it has just come"
        );
    }

    #[test]
    fn each_way_to_be_unwell_is_told_and_a_busy_consumer_is_not_unwell() {
        let consumer = |state: &str, lag: i64, parked: i64| {
            let consumer = json!({ "service": "quiz", "name": "sagas", "state": state, "lag": lag,
                                   "parked": parked });
            let found = judged(&consumer);
            found.iter().map(|one| one.runbook).collect::<Vec<_>>()
        };
        assert_eq!(consumer("running", 1_000, 0), []);
        assert_eq!(consumer("running", 1_001, 0), [Runbook::ConsumerLag]);
        assert_eq!(consumer("paused", 0, 0), [Runbook::ConsumerLag]);
        assert_eq!(consumer("refused", 0, 0), [Runbook::RestoreFromBackup]);
        assert_eq!(consumer("waiting", 0, 0), [Runbook::ConsumerLag]);
        assert_eq!(consumer("running", 0, 2), [Runbook::PoisonEvent]);
    }
}
