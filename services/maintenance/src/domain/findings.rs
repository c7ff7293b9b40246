//! What of the services' own reports somebody should look at.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// From where on a report is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Positions that a consumer may be behind the log's head.
    pub behind: i64,
    /// Seconds that the oldest unsent event of an outbox may be old.
    pub outbox_seconds: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Some seconds of a busy log.
            behind: 5_000,
            outbox_seconds: 60,
        }
    }
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The service.
    pub service: String,
    /// `silent`, `failed`, `behind`, `parked`, `stopped`, `outbox_old`, `outbox_refused`.
    pub kind: String,
    /// In words.
    pub text: String,
}

/// The findings about one service; `report` is none when it did not answer.
pub fn findings(service: &str, report: Option<&Value>, limits: &Limits) -> Vec<Finding> {
    let finding = |kind: &str, text: String| Finding {
        service: service.to_owned(),
        kind: kind.to_owned(),
        text,
    };
    let Some(report) = report else {
        return vec![finding("silent", "It did not answer in time.".to_owned())];
    };
    let mut found = Vec::new();
    let consumers = report["consumers"].as_array();
    for consumer in consumers.into_iter().flatten() {
        let name = consumer["name"].as_str().unwrap_or_default();
        let number = |key: &str| consumer[key].as_i64().unwrap_or_default();
        if number("behind") > limits.behind {
            let text = format!("{name} is {} positions behind the log.", number("behind"));
            found.push(finding("behind", text));
        }
        if number("parked") > 0 {
            let text = format!("{name} has {} parked events.", number("parked"));
            found.push(finding("parked", text));
        }
        let state = consumer["state"].as_str().unwrap_or("running");
        // Of one that no longer is a part of the service, only what is parked is left to do.
        if !matches!(state, "running" | "retired") {
            found.push(finding("stopped", format!("{name} does not run: {state}")));
        }
    }
    let outbox = &report["outbox"];
    let oldest = outbox["oldestSeconds"].as_i64().unwrap_or_default();
    if oldest > limits.outbox_seconds {
        let unsent = outbox["unsent"].as_i64().unwrap_or_default();
        let text = format!("{unsent} events wait in its outbox, the oldest for {oldest} s.");
        found.push(finding("outbox_old", text));
    }
    let refused = outbox["refusedStreams"].as_i64().unwrap_or_default();
    if refused > 0 {
        let text = format!("The log refuses {refused} of its streams.");
        found.push(finding("outbox_refused", text));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(report: Option<&Value>) -> Vec<String> {
        findings("quiz", report, &Limits::default())
            .into_iter()
            .map(|finding| finding.kind)
            .collect()
    }

    #[test]
    fn a_healthy_service_is_no_finding_and_a_silent_one_is() {
        let healthy = json!({
            "head": 10,
            "consumers": [{ "name": "users", "behind": 0, "parked": 0, "state": "running" }],
            "outbox": { "unsent": 1, "oldestSeconds": 0, "refusedStreams": 0 },
        });
        assert!(kinds(Some(&healthy)).is_empty());
        assert_eq!(kinds(None), ["silent"]);
    }

    #[test]
    fn every_kind_of_trouble_is_found() {
        let ill = json!({
            "consumers": [
                { "name": "users", "behind": 5_001, "parked": 2, "state": "running" },
                { "name": "questions", "behind": 0, "parked": 0, "state": "paused" },
            ],
            "outbox": { "unsent": 7, "oldestSeconds": 61, "refusedStreams": 1 },
        });
        assert_eq!(
            kinds(Some(&ill)),
            [
                "behind",
                "parked",
                "stopped",
                "outbox_old",
                "outbox_refused"
            ]
        );
    }
}
