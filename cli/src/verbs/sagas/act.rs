//! The acts on one saga: each is shown before it is done, and done only on the version that was
//! looked at.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{super::Context, OWNER};
use crate::output::Format;

/// A saga and why.
#[derive(Debug, Args)]
pub struct Act {
    /// The saga.
    id: Uuid,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
    /// Only if the saga is still at this version, as `sagas show` prints it; else it is refused with
    /// `version_conflict`. Without it the saga is read first, and its version of that moment is meant.
    #[arg(long, value_name = "N")]
    if_version: Option<i64>,
}

/// `banyan sagas retry`
#[derive(Debug, Args)]
pub struct Retry {
    /// Which saga.
    #[command(flatten)]
    act: Act,
    /// The step; without it the compensation is tried again.
    #[arg(long)]
    step: Option<String>,
}

/// `banyan sagas resolve`
#[derive(Debug, Args)]
pub struct Resolve {
    /// Which saga.
    #[command(flatten)]
    act: Act,
    /// The step.
    #[arg(long)]
    step: String,
    /// What its outcome was.
    #[arg(long)]
    outcome: Outcome,
}

/// What an operator can say of a step.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Outcome {
    /// It was done.
    Done,
    /// It was refused: nothing was done.
    Refused,
    /// While it is taken back: nothing of it is left.
    Undone,
}

/// What is to be done, by its path and its body.
enum Deed<'a> {
    RetryStep(&'a str),
    RetryCompensation,
    Resolve(&'a str, Outcome),
    Compensate,
    Abandon,
}

impl Retry {
    pub(super) async fn run(&self, context: &Context) -> anyhow::Result<()> {
        let deed = match &self.step {
            Some(step) => Deed::RetryStep(step),
            None => Deed::RetryCompensation,
        };
        self.act.tell(context, &deed).await
    }
}

impl Resolve {
    pub(super) async fn run(&self, context: &Context) -> anyhow::Result<()> {
        let deed = Deed::Resolve(&self.step, self.outcome);
        self.act.tell(context, &deed).await
    }
}

impl Act {
    pub(super) async fn compensate(&self, context: &Context) -> anyhow::Result<()> {
        self.tell(context, &Deed::Compensate).await
    }

    pub(super) async fn abandon(&self, context: &Context) -> anyhow::Result<()> {
        self.tell(context, &Deed::Abandon).await
    }

    /// Tells the owner, on the state that was decided on: if the saga moved meanwhile, it refuses.
    async fn tell(&self, context: &Context, deed: &Deed<'_>) -> anyhow::Result<()> {
        let path = format!("/ops/sagas/{}", self.id);
        let mut body = deed.body();
        body["reason"] = json!(self.reason);
        body["ifVersion"] = match self.if_version {
            Some(version) => json!(version),
            None => {
                let saga = context.client.ops(OWNER, Method::GET, &path, None).await?;
                if context.format == Format::Table {
                    let _ = writeln!(io::stderr(), "{}", deed.announced(&saga));
                }
                saga["version"].clone()
            }
        };
        let path = format!("{path}/{}", deed.verb());
        let told = context
            .client
            .ops(OWNER, Method::POST, &path, Some(&body))
            .await;
        let answer = told.map_err(|error| match crate::client::refusal(&error) {
            Some(refused) if refused.code == "version_conflict" => error.context(format!(
                "nothing was done: the saga moved since it was looked at (banyan sagas show {})",
                self.id
            )),
            _ => error,
        })?;
        let state = answer["state"].as_str().unwrap_or("changed");
        let version = &answer["version"];
        let sentence = format!("saga {} is {state} (version {version})", self.id);
        Ok(context.format.done(&sentence, &answer)?)
    }
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Undone => "undone",
        }
    }
}

impl Deed<'_> {
    const fn verb(&self) -> &'static str {
        match self {
            Self::RetryStep(_) | Self::RetryCompensation => "retry",
            Self::Resolve(..) => "resolve",
            Self::Compensate => "compensate",
            Self::Abandon => "abandon",
        }
    }

    fn body(&self) -> Value {
        match self {
            Self::RetryStep(step) => json!({ "step": step }),
            Self::Resolve(step, outcome) => json!({ "step": step, "outcome": outcome.name() }),
            Self::RetryCompensation | Self::Compensate | Self::Abandon => json!({}),
        }
    }

    /// What it is about to do to the saga as it was read.
    fn announced(&self, saga: &Value) -> String {
        let state = saga["state"].as_str().unwrap_or_default();
        let what = match self {
            Self::RetryStep(step) => format!("begins {step} again ({})", stands(saga, step)),
            Self::RetryCompensation => {
                let open = named(saga, |step| {
                    is_one_of(&step["undo"], &["started", "failed"])
                });
                format!("asks again to undo: {open}")
            }
            Self::Resolve(step, outcome) => {
                format!(
                    "takes {step} as {} ({})",
                    outcome.name(),
                    stands(saga, step)
                )
            }
            Self::Compensate => {
                let begun = ["started", "done", "unknown", "held"];
                let begun = named(saga, |step| is_one_of(&step["progress"], &begun));
                format!("turns back and undoes: {begun}")
            }
            Self::Abandon => {
                let open = named(saga, |step| {
                    let undoing = is_one_of(&step["undo"], &["waiting", "started", "failed"]);
                    undoing || is_one_of(&step["progress"], &["started", "held"])
                });
                format!("gives it up, whatever became of: {open}")
            }
        };
        let (id, version) = (saga["id"].as_str().unwrap_or_default(), &saga["version"]);
        format!("saga {id} is {state} (version {version}); this {what}")
    }
}

/// How far a step is, in the words of `sagas show`.
fn stands(saga: &Value, name: &str) -> String {
    let steps = saga["steps"].as_array().into_iter().flatten();
    let Some(step) = steps.into_iter().find(|step| step["name"] == name) else {
        return "there is no such step".to_owned();
    };
    let word = |member: &str| step[member].as_str().unwrap_or_default().to_owned();
    match word("undo").as_str() {
        "idle" => word("progress"),
        undo => format!("{}, undo {undo}", word("progress")),
    }
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|value| words.contains(&value))
}

/// The names of the steps that are wanted.
fn named(saga: &Value, wanted: impl Fn(&Value) -> bool) -> String {
    let steps = saga["steps"].as_array().into_iter().flatten();
    let names: Vec<&str> = steps
        .filter(|step| wanted(step))
        .filter_map(|step| step["name"].as_str())
        .collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_act_is_about_to_do_is_said_of_the_saga_as_it_was_read() {
        let saga = json!({
            "id": "s", "state": "needs_intervention", "version": 7, "steps": [
                { "name": "record", "progress": "done", "undo": "undone" },
                { "name": "badges", "progress": "unknown", "undo": "failed" },
                { "name": "board", "progress": "refused", "undo": "idle" },
            ],
        });
        let said = |deed: Deed<'_>| {
            let all = deed.announced(&saga);
            let begin = "saga s is needs_intervention (version 7); this ";
            all.strip_prefix(begin).expect(&all).to_owned()
        };
        assert_eq!(said(Deed::RetryCompensation), "asks again to undo: badges");
        assert_eq!(
            said(Deed::Resolve("badges", Outcome::Undone)),
            "takes badges as undone (unknown, undo failed)"
        );
        assert_eq!(
            said(Deed::RetryStep("none")),
            "begins none again (there is no such step)"
        );
        assert_eq!(
            said(Deed::Compensate),
            "turns back and undoes: record, badges"
        );
        assert_eq!(
            said(Deed::Abandon),
            "gives it up, whatever became of: badges"
        );
    }
}
