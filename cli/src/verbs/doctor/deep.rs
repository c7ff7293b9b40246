//! What only a comparison shows: the log against the services' state, and the newest questions
//! against the bank.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use super::{Finding, Runbook, Seen, items};
use crate::{
    client::refusal,
    verbs::{Context, audit},
};

/// Disagreements that are listed; `banyan audit` has all of them.
const DISAGREEMENTS: usize = 10;
/// Events about questions that are looked at; the newest of each question counts.
const QUESTION_EVENTS: u32 = 100;

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    let audited = audit::examine(&context.client, None, None).await;
    if let Some(report) = seen.answered("audit", audited) {
        for one in report.disagreements.iter().take(DISAGREEMENTS) {
            seen.found.push(wrong(
                &one.place.to_string(),
                format!("does not agree with the log: {one}"),
                "banyan audit, then banyan events trace",
            ));
        }
    }
    questions(context, seen).await;
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
async fn questions(context: &Context, seen: &mut Seen) {
    let path = format!(
        "/ops/events?backward=true&limit={QUESTION_EVENTS}\
         &types=question.created,question.updated,question.deleted"
    );
    let events = context.client.ops("log", Method::GET, &path, None).await;
    let Some(events) = seen.answered("log", events) else {
        return;
    };
    let mut known = BTreeSet::new();
    for event in items(&events) {
        let id = event["payload"]["questionId"].as_str().unwrap_or_default();
        if !known.insert(id.to_owned()) {
            continue;
        }
        let path = format!("/api/questions/{id}");
        let shown = context
            .client
            .ops("question", Method::GET, &path, None)
            .await;
        let Some(shown) = seen.answered("question", or_missing(shown)) else {
            return;
        };
        if let Some(what) = disagrees(event, shown.as_ref()) {
            let position = &event["position"];
            seen.found.push(wrong(
                "question",
                format!("question {id} {what}, but not so at position {position} of the log"),
                "banyan consumers replay question question-bank",
            ));
        }
    }
}

/// A question that is not there is an answer, too.
fn or_missing(shown: anyhow::Result<Value>) -> anyhow::Result<Option<Value>> {
    match shown {
        Ok(question) => Ok(Some(question)),
        Err(error) if refusal(&error).is_some_and(|refused| refused.status == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the bank shows that the event does not say.
fn disagrees(event: &Value, shown: Option<&Value>) -> Option<&'static str> {
    let is_deleted = event["type"] == "question.deleted";
    match shown {
        Some(_) if is_deleted => Some("is shown"),
        Some(question) if question["text"] != event["payload"]["text"] => Some("has another text"),
        None if !is_deleted => Some("is missing"),
        Some(_) | None => None,
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
        let (why, what) = (json!({ "text": "Why?" }), json!({ "text": "What?" }));
        assert_eq!(disagrees(&created, Some(&why)), None);
        assert_eq!(disagrees(&created, Some(&what)), Some("has another text"));
        assert_eq!(disagrees(&created, None), Some("is missing"));
        assert_eq!(disagrees(&deleted, None), None);
        assert_eq!(disagrees(&deleted, Some(&why)), Some("is shown"));
    }

    #[test]
    fn only_a_bank_that_says_so_misses_a_question() {
        let problem = json!({ "code": "question_not_found" });
        let refused = |status| Err(crate::client::refused_for_test(status, &problem));
        assert!(or_missing(refused(404)).is_ok_and(|shown| shown.is_none()));
        assert!(or_missing(refused(503)).is_err());
        assert!(or_missing(Err(anyhow::anyhow!("nobody answers"))).is_err());
    }
}
