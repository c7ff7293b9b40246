//! The same recorded session, of players and of a curator, against legacy and against the new
//! services, through the gateway both times: the same statuses, the same bodies. Ids, times, tokens
//! and cursors differ by nature; everything else must not.
//!
//! The session is `parity/session.json`, a list of steps:
//! - `as`: whose token is sent: that of the kept `NAME.token`; absent: nobody's;
//! - `do`: method and path, `body` or `text` (with `type`), `headers`;
//! - `keep`: names for parts of the answer, by JSON pointer; `{name}` stands for them later;
//! - `only`: `status` where a body is random by nature.
//!
//! A read on the new side may be behind for a moment (badges are final once their saga has ended),
//! so reads are repeated until they agree, within a bound. What writes is sent once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::embedded::Up;

/// The session, as it is recorded.
const SESSION: &str = include_str!("parity/session.json");

/// Every flag of the system that `up` starts.
const FLAGS: [&str; 5] = [
    "auth-cutover",
    "quiz-cutover",
    "curation-reads",
    "curation-writes",
    "maintenance-cutover",
];

/// How long the new side may be behind its own writes before a difference counts.
const BEHIND: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(rename = "as")]
    who: Option<String>,
    #[serde(rename = "do")]
    request: String,
    body: Option<Value>,
    text: Option<String>,
    #[serde(rename = "type")]
    content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    keep: BTreeMap<String, String>,
    #[serde(default)]
    only: Option<Only>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Only {
    Status,
}

/// One system, and what the session kept of its answers.
struct Side {
    http: reqwest::Client,
    base: String,
    served: Served,
    kept: BTreeMap<String, String>,
    /// Ids in the order in which they were met.
    ids: Vec<String>,
}

/// Who serves a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// The monolith.
    ByLegacy,
    /// The services, and never the monolith.
    Elsewhere,
}

/// What a step was answered with: comparable, and as it came.
#[derive(Clone, Debug)]
struct Answer {
    comparable: Value,
    body: Value,
}

impl Side {
    fn new(up: &Up, served: Served) -> Self {
        let password = up.administrators_password();
        let kept = [("adminPassword", password.as_str())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
            base: up.gateway(),
            served,
            kept: kept.into(),
            ids: Vec::new(),
        }
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.kept {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    async fn ask(&self, step: &Step) -> anyhow::Result<(StatusCode, String, Value)> {
        let request = self.filled(&step.request);
        let (method, path) = request.split_once(' ').expect("`METHOD /path`");
        let method: Method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(who) = &step.who {
            request = request.bearer_auth(&self.kept[&format!("{who}.token")]);
        }
        for (name, value) in &step.headers {
            request = request.header(name, self.filled(value));
        }
        let body = match (&step.body, &step.text) {
            (Some(body), _) => Some(self.filled(&body.to_string())),
            (None, Some(text)) => Some(self.filled(text)),
            (None, None) => None,
        };
        if let Some(body) = body {
            let kind = step.content_type.as_deref().unwrap_or("application/json");
            request = request.header(header::CONTENT_TYPE, kind).body(body);
        }
        let response = request.send().await?;
        let status = response.status();
        if let (Some(upstream), Served::Elsewhere) =
            (response.headers().get("x-banyan-upstream"), self.served)
        {
            anyhow::ensure!(
                upstream != "legacy",
                "{} was served by legacy",
                step.request
            );
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind
            .map(|value| value.to_str().map(ToOwned::to_owned))
            .transpose()?;
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((status, kind.unwrap_or_default(), body))
    }

    /// The answer; a read's is asked for again while it is not the `expected` one, within a bound.
    async fn answer_like(&self, step: &Step, expected: &Answer) -> Answer {
        let begun = Instant::now();
        loop {
            let found = self.answer(step).await.expect("the new side answers");
            let is_read = step.request.starts_with("GET ");
            let is_over = !is_read || begun.elapsed() > BEHIND;
            if is_over || found.comparable == expected.comparable {
                return found;
            }
            // A pause between two looks at what follows the log; it decides no order.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn answer(&self, step: &Step) -> anyhow::Result<Answer> {
        let (status, kind, body) = self.ask(step).await?;
        let mut ids = self.ids.clone();
        let shown = match step.only {
            Some(Only::Status) => Value::Null,
            None => comparable(&body, "", &mut ids),
        };
        let comparable = json!({ "status": status.as_u16(), "type": kind, "body": shown });
        Ok(Answer { comparable, body })
    }

    /// Remembers what later steps refer to, once the answer counts.
    fn keep(&mut self, step: &Step, answer: &Answer) {
        if step.only.is_none() {
            comparable(&answer.body, "", &mut self.ids);
        }
        for (name, pointer) in &step.keep {
            let part = answer.body.pointer(pointer);
            let part = part.unwrap_or_else(|| panic!("{step:?}: no {pointer} in {}", answer.body));
            let text = part
                .as_str()
                .map_or_else(|| part.to_string(), ToOwned::to_owned);
            self.kept.insert(name.clone(), text);
        }
    }
}

/// The body without what differs by nature: ids become their number in the order of appearance.
fn comparable(body: &Value, name: &str, ids: &mut Vec<String>) -> Value {
    match body {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), comparable(value, name, ids)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .iter()
            .map(|item| comparable(item, name, ids))
            .collect(),
        Value::String(text) => Value::String(masked(text, name, ids)),
        other => other.clone(),
    }
}

fn masked(text: &str, name: &str, ids: &mut Vec<String>) -> String {
    match name {
        "accessToken" | "refreshToken" | "nextCursor" | "traceId" => return format!("<{name}>"),
        // A guest's name ends with a part of its id.
        "displayName" if text.starts_with("Guest ") => return "Guest <…>".to_owned(),
        _ if name.ends_with("At") && text.contains('T') => return "<time>".to_owned(),
        _ => {}
    }
    // Ids also stand inside texts: an exported file, a refusal's sentence, a guest's name.
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, id, behind)) = next_id(rest) {
        let known = ids.iter().position(|known| *known == id);
        let number = known.unwrap_or_else(|| {
            ids.push(id.to_owned());
            ids.len() - 1
        });
        out.push_str(before);
        out.push_str(&format!("<id {number}>"));
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The first UUID of a text, with what stands around it.
fn next_id(text: &str) -> Option<(&str, &str, &str)> {
    const LENGTH: usize = 36;
    let starts = text.char_indices().map(|(start, _)| start);
    for start in starts {
        let Some(id) = text.get(start..start + LENGTH) else {
            continue;
        };
        let is_id = id.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
        if is_id {
            return Some((&text[..start], id, &text[start + LENGTH..]));
        }
    }
    None
}

#[tokio::test]
async fn a_recorded_session_gets_the_same_answers_from_legacy_and_from_the_new_services() {
    let session: Vec<Step> = serde_json::from_str(SESSION).expect("a list of steps");
    let (legacy, new) = tokio::join!(Up::start(), Up::start());
    for flag in FLAGS {
        let set = ["flags", "set", flag, "--percent", "100", "--reason", "test"];
        new.verb(&set).await;
    }
    let (mut old_side, mut new_side) = (
        Side::new(&legacy, Served::ByLegacy),
        Side::new(&new, Served::Elsewhere),
    );
    let mut differences = Vec::new();
    for (number, step) in session.iter().enumerate() {
        let expected = old_side.answer(step).await.expect("legacy answers");
        old_side.keep(step, &expected);
        let found = new_side.answer_like(step, &expected).await;
        if found.comparable != expected.comparable {
            differences.push(format!(
                "step {number}, {}\nlegacy: {:#}\nnew:    {:#}",
                step.request, expected.comparable, found.comparable
            ));
        }
        new_side.keep(step, &found);
    }
    assert!(
        differences.is_empty(),
        "{} of {} steps differ:\n{}",
        differences.len(),
        session.len(),
        differences.join("\n\n")
    );
}

#[test]
fn ids_are_compared_by_the_order_in_which_they_appear() {
    let first = "018f0000-0000-7000-8000-000000000001";
    let second = "018f0000-0000-7000-8000-000000000002";
    let mut ids = Vec::new();
    let text = format!("{second} then {first} then {second}");
    assert_eq!(
        masked(&text, "detail", &mut ids),
        "<id 0> then <id 1> then <id 0>"
    );
    let body = json!({ "id": first, "createdAt": "2026-01-01T00:00:00Z", "score": 7 });
    assert_eq!(
        comparable(&body, "", &mut ids),
        json!({ "id": "<id 1>", "createdAt": "<time>", "score": 7 })
    );
}
