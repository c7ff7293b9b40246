//! `banyan sagas show`: where a saga stands, what happened to it, and the picture of its way.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use sagas::{Input, Outline, State, picture::Picture};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{super::Context, OWNER};
use crate::output::{Column, Format};

/// Events asked for at once.
const PAGE: usize = 500;

/// Events of one chain of causes that are shown at most: far more than a saga's own.
const MAX_EVENTS: usize = 5_000;

/// `banyan sagas show`
#[derive(Debug, Args)]
pub struct Show {
    /// The saga.
    id: Uuid,
    /// Print its definition with the way that it took as a Mermaid flowchart, and nothing else.
    #[arg(long, conflicts_with = "svg")]
    mermaid: bool,
    /// Write that picture as SVG to this file, and print nothing else; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

const STEPS: &[Column] = &[
    ("step", "/name"),
    ("state", "/progress"),
    ("attempts", "/attempt"),
    ("undo", "/undo"),
    ("attempts", "/undoAttempt"),
    ("late reply", "/late"),
    ("error", "/error"),
];

const DEADLINES: &[Column] = &[
    ("waits for", "/kind"),
    ("of", "/step"),
    ("due", "/dueAt"),
    ("failures", "/failures"),
];

const TIMELINE: &[Column] = &[
    ("at", "/at"),
    ("where", "/where"),
    ("what", "/what"),
    ("detail", "/detail"),
];

impl Show {
    pub(super) async fn run(&self, context: &Context) -> anyhow::Result<()> {
        let path = format!("/ops/sagas/{}", self.id);
        let mut saga = context.client.ops(OWNER, Method::GET, &path, None).await?;
        if self.mermaid || self.svg.is_some() {
            let (outline, state) = drawn(&saga)?;
            let picture = Picture::of(&outline).with(&state);
            return emit(&picture, self.mermaid, self.svg.as_deref());
        }
        match events(context, &saga).await {
            Ok(events) => saga["events"] = json!(events),
            // The saga can be judged without; it is most looked at while something is down.
            Err(error) => {
                saga["events"] = Value::Null;
                let _ = writeln!(io::stderr(), "what the log has of it is missing: {error:#}");
            }
        }
        match context.format {
            Format::Json => context.format.record(&saga)?,
            Format::Table => tables(context.format, &saga)?,
        }
        Ok(())
    }
}

/// Writes a picture to where it was asked for.
pub(super) fn emit(picture: &Picture<'_>, mermaid: bool, svg: Option<&Path>) -> anyhow::Result<()> {
    match svg {
        _ if mermaid => io::stdout().write_all(picture.mermaid().as_bytes())?,
        Some(file) if file != Path::new("-") => std::fs::write(file, picture.svg())
            .with_context(|| format!("cannot write {} (--svg)", file.display()))?,
        _ => io::stdout().write_all(picture.svg().as_bytes())?,
    }
    Ok(())
}

/// What a picture of it is made of.
fn drawn(saga: &Value) -> anyhow::Result<(Outline, State)> {
    let unknown = "the service's answer is of another version than this program";
    let state = State::deserialize(saga).context(unknown)?;
    let outline: Option<Outline> = Option::deserialize(&saga["outline"]).context(unknown)?;
    let name = saga["definition"].as_str().unwrap_or_default();
    let version = saga["definitionVersion"].as_u64().unwrap_or_default();
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    Ok((
        outline.unwrap_or_else(|| Outline::of_state(name, version, &state)),
        state,
    ))
}

/// All events of the saga's chain of causes, by position.
async fn events(context: &Context, saga: &Value) -> anyhow::Result<Vec<Value>> {
    let correlation = saga["correlationId"].as_str().unwrap_or_default();
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().and_then(|event| event["position"].as_i64());
        let path = format!(
            "/ops/events?correlation={correlation}&after={}&limit={PAGE}",
            after.unwrap_or(0)
        );
        let page = context.client.ops("log", Method::GET, &path, None).await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let is_last = items.len() < PAGE;
        all.extend(items);
        if is_last || all.len() >= MAX_EVENTS {
            return Ok(all);
        }
    }
}

fn tables(format: Format, saga: &Value) -> io::Result<()> {
    let text = |name: &str| saga[name].as_str().map(ToOwned::to_owned);
    let mut out = io::stdout().lock();
    let definition = text("definition").unwrap_or_default();
    writeln!(out, "saga         {}", text("id").unwrap_or_default())?;
    writeln!(
        out,
        "definition   {definition} v{}",
        saga["definitionVersion"]
    )?;
    writeln!(out, "state        {}", text("state").unwrap_or_default())?;
    writeln!(out, "version      {}", saga["version"])?;
    let missing = saga["suspended"]["reason"].as_str().map(ToOwned::to_owned);
    let rest = [
        ("because", text("reason")),
        ("missing", missing),
        ("started", text("createdAt")),
        ("moved", text("updatedAt")),
        ("ended", text("endedAt")),
        ("correlation", text("correlationId")),
    ];
    for (name, value) in rest {
        if let Some(value) = value {
            writeln!(out, "{name:<12} {value}")?;
        }
    }
    writeln!(out)?;
    drop(out);
    format.list(&json!({ "items": steps(saga) }), STEPS)?;
    if saga["deadlines"]
        .as_array()
        .is_some_and(|all| !all.is_empty())
    {
        println()?;
        format.list(&json!({ "items": saga["deadlines"] }), DEADLINES)?;
    }
    println()?;
    format.list(&json!({ "items": timeline(saga) }), TIMELINE)
}

fn println() -> io::Result<()> {
    writeln!(io::stdout().lock())
}

/// The steps with late replies in a word.
fn steps(saga: &Value) -> Vec<Value> {
    let steps = saga["steps"].as_array().cloned().unwrap_or_default();
    let mut steps = steps;
    for step in &mut steps {
        if step["late"].is_object() {
            step["late"] = json!("refused");
        }
    }
    steps
}

/// What happened to the saga and what the log has of it, as one list: an event that moved the saga
/// stands before the transition that it caused, everything else by its time.
fn timeline(saga: &Value) -> Vec<Value> {
    let empty = Vec::new();
    let transitions = saga["timeline"].as_array().unwrap_or(&empty);
    let events = saga["events"].as_array().unwrap_or(&empty);
    let mut rest = events.iter().peekable();
    let mut rows = Vec::new();
    for transition in transitions {
        let cause = &transition["causeId"];
        let caused_at = events
            .iter()
            .find(|event| cause.is_string() && event["id"] == *cause)
            .and_then(|event| event["position"].as_i64());
        let comes_first = |event: &Value| match caused_at {
            Some(cause) => event["position"].as_i64() <= Some(cause),
            None => moment(&event["timestamp"]) < moment(&transition["at"]),
        };
        while let Some(event) = rest.next_if(|event| comes_first(event)) {
            rows.push(told(event));
        }
        rows.push(moved(transition));
    }
    rows.extend(rest.map(told));
    rows
}

/// RFC 3339 times of one kind, without the zeros that some leave out at their ends.
fn moment(at: &Value) -> Option<time::OffsetDateTime> {
    let format = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(at.as_str()?, format).ok()
}

fn told(event: &Value) -> Value {
    let service = event["serviceId"].as_str().unwrap_or_default();
    let detail = match event["step"].as_str() {
        Some(step) => format!("{service}, step {step}"),
        None => service.to_owned(),
    };
    json!({
        "at": event["timestamp"], "where": format!("log {}", event["position"]),
        "what": event["type"], "detail": detail,
    })
}

fn moved(transition: &Value) -> Value {
    let inputs: Vec<Input> = Vec::deserialize(&transition["inputs"]).unwrap_or_default();
    let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    let detail = match inputs.as_slice() {
        // Parked for want of its definition or resumed; or the user is gone, and so is what it was.
        [] => Value::Null,
        inputs => json!(inputs.join("; ")),
    };
    json!({
        "at": transition["at"], "where": format!("saga v{}", transition["version"]),
        "what": transition["state"], "detail": detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: i64, id: &str, second: u32) -> Value {
        json!({ "position": position, "id": id, "timestamp": at(second), "type": id,
                "serviceId": "quiz" })
    }

    fn at(second: u32) -> String {
        format!("2026-01-01T00:00:{second:02}Z")
    }

    fn order(saga: &Value) -> Vec<String> {
        let rows = timeline(saga);
        rows.iter()
            .map(|row| row["where"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn an_event_stands_before_what_it_caused_although_clocks_disagree() {
        let saga = json!({
            "timeline": [
                { "version": 1, "at": at(10), "state": "running", "inputs": [{ "input": "start" }] },
                // The participant's clock is ahead by seconds.
                { "version": 2, "at": at(11), "state": "running", "causeId": "reply", "inputs": [] },
                { "version": 3, "at": at(20), "state": "compensating", "inputs": [
                    { "input": "due", "step": "board", "timer": "deadline" },
                ] },
            ],
            "events": [event(5, "ask", 10), event(7, "reply", 40), event(9, "late", 21)],
        });
        assert_eq!(
            order(&saga),
            ["saga v1", "log 5", "log 7", "saga v2", "saga v3", "log 9"]
        );
        let rows = timeline(&saga);
        assert_eq!(rows[0]["detail"], "start");
        assert_eq!(rows[4]["detail"], "deadline of board passed");
        assert_eq!(rows[3]["detail"], Value::Null);
    }

    #[test]
    fn without_the_log_the_sagas_own_history_is_shown() {
        let saga = json!({
            "timeline": [{ "version": 1, "at": at(1), "state": "running", "inputs": [] }],
            "events": null,
        });
        assert_eq!(order(&saga), ["saga v1"]);
    }
}
