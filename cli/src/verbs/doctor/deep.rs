//! What only a comparison shows: the log against the services' state, and the newest questions
//! against the bank.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use super::{Finding, Runbook, items};
use crate::{
    client::Refused,
    verbs::{Context, audit},
};

/// Disagreements that are listed; `banyan audit` has all of them.
const DISAGREEMENTS: usize = 10;
/// Events about questions that are looked at; the newest of each question counts.
const QUESTION_EVENTS: u32 = 100;

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    match audit::examine(&context.client, None, None).await {
        Ok(report) => {
            for one in report.disagreements.iter().take(DISAGREEMENTS) {
                findings.push(wrong(
                    &one.place.to_string(),
                    format!("does not agree with the log: {one}"),
                    "banyan audit, then banyan events trace",
                ));
            }
        }
        // What does not answer is told by the other checks.
        Err(error) => tracing::debug!(%error, "no audit"),
    }
    findings.extend(questions(context).await);
    findings
}

fn wrong(place: &str, what: String, act: &str) -> Finding {
    Finding {
        place: place.to_owned(),
        what,
        act: act.to_owned(),
        runbook: Runbook::DataInconsistent,
    }
}

/// Whether the bank shows what the log says last of each question.
async fn questions(context: &Context) -> Vec<Finding> {
    let path = format!(
        "/ops/events?backward=true&limit={QUESTION_EVENTS}\
         &types=question.created,question.updated,question.deleted"
    );
    let Ok(events) = context.client.ops("log", Method::GET, &path, None).await else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for event in items(&events) {
        let id = event["payload"]["questionId"].as_str().unwrap_or_default();
        if !seen.insert(id.to_owned()) {
            continue;
        }
        let path = format!("/api/questions/{id}");
        let shown = context
            .client
            .ops("question", Method::GET, &path, None)
            .await;
        if let Some(what) = disagrees(event, &shown) {
            let position = &event["position"];
            findings.push(wrong(
                "question",
                format!("question {id} {what}, but not so at position {position} of the log"),
                "banyan consumers replay question question-bank",
            ));
        }
    }
    findings
}

/// What the bank shows that the event does not say.
fn disagrees(event: &Value, shown: &anyhow::Result<Value>) -> Option<&'static str> {
    let is_deleted = event["type"] == "question.deleted";
    match shown {
        Ok(_) if is_deleted => Some("is shown"),
        Ok(question) if question["text"] != event["payload"]["text"] => Some("has another text"),
        Ok(_) => None,
        Err(error) => {
            let refused = error
                .chain()
                .find_map(|cause| cause.downcast_ref::<Refused>());
            (refused.is_some_and(|refused| refused.status == 404) && !is_deleted)
                .then_some("is missing")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bank_must_show_what_the_log_says_last() {
        let created = json!({ "type": "question.created", "payload": { "text": "Why?" } });
        let deleted = json!({ "type": "question.deleted", "payload": {} });
        let shown = |text: &str| Ok(json!({ "text": text }));
        let problem = json!({ "code": "question_not_found" });
        let gone = || Err(crate::client::refused_for_test(404, &problem));
        let away = || Err(anyhow::anyhow!("nobody answers"));
        assert_eq!(disagrees(&created, &shown("Why?")), None);
        assert_eq!(
            disagrees(&created, &shown("What?")),
            Some("has another text")
        );
        assert_eq!(disagrees(&created, &gone()), Some("is missing"));
        assert_eq!(disagrees(&created, &away()), None);
        assert_eq!(disagrees(&deleted, &gone()), None);
        assert_eq!(disagrees(&deleted, &shown("Why?")), Some("is shown"));
    }
}
