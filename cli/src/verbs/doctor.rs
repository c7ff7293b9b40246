//! `banyan doctor`: looks for what is wrong and names the runbook for each finding.
//!
//! A check is a file of its own and notes findings in what was [`Seen`], and each part that did not
//! tell what it was asked: what was not looked at is never called well. No finding is without a runbook, and each runbook
//! about a fault is drilled: its drill (`cli/tests/system/drills`) makes the fault and asserts that
//! one of these checks names it.

mod consumers;
mod deep;
mod flags;
mod outboxes;
mod readiness;
mod releases;
mod runbook;
mod sagas;
mod seen;
#[cfg(test)]
mod tests;
mod upstreams;

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use self::{runbook::Runbook, seen::Seen};
use super::Context;
use crate::output::Column;

/// Between two looks of `--wait`.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

const COLUMNS: &[Column] = &[
    ("where", "/where"),
    ("what", "/what"),
    ("do", "/do"),
    ("runbook", "/runbook"),
];

/// `banyan doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Look again until all is well, for this long at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3600))]
    wait: u64,
    /// Also read the log and hold it against every service's state, as `banyan audit` does, and the
    /// newest questions against the bank.
    #[arg(long)]
    deep: bool,
}

/// Something that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The part, or the part and its consumer.
    place: String,
    what: String,
    /// The first thing to do.
    act: String,
    runbook: Runbook,
}

impl Doctor {
    /// Exit 1 when anything was found.
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(self.wait);
        let findings = loop {
            let mut seen = look(context).await;
            if self.deep {
                deep::check(context, &mut seen).await;
            }
            let findings = seen.findings();
            if findings.is_empty() || Instant::now() >= until {
                break findings;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        };
        if findings.is_empty() {
            let answer = json!({ "items": [] });
            let sentence = "Everything that was looked at is well.";
            return Ok(context.format.done(sentence, &answer)?);
        }
        let items: Vec<Value> = findings.iter().map(Finding::json).collect();
        context.format.list(&json!({ "items": items }), COLUMNS)?;
        match findings.len() {
            1 => bail!("1 finding"),
            count => bail!("{count} findings"),
        }
    }
}

async fn look(context: &Context) -> Seen {
    let (mut seen, mut moving) = (Seen::default(), Seen::default());
    tokio::join!(
        readiness::check(context, &mut seen),
        releases::check(context, &mut moving)
    );
    seen.and(moving);
    // Without their databases services answer each further question after a long wait, and with
    // nothing new.
    let is_away = |one: &Finding| matches!(one.runbook, Runbook::PostgresDown | Runbook::LogLost);
    if seen.found.iter().any(is_away) {
        return seen;
    }
    upstreams::check(context, &mut seen).await;
    flags::check(context, &mut seen).await;
    consumers::check(context, &mut seen).await;
    outboxes::check(context, &mut seen).await;
    sagas::check(context, &mut seen).await;
    seen
}

impl Finding {
    fn json(&self) -> Value {
        json!({
            "where": self.place, "what": self.what, "do": self.act,
            "runbook": self.runbook.file(),
        })
    }
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}
