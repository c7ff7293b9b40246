mod act;
mod show;
mod simulate;

use std::io::{self, Write};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use self::{
    act::{Act, Resolve, Retry},
    show::Show,
    simulate::Simulate,
};
use super::Context;
use crate::output::{Column, Format};

/// The service that owns the sagas.
const OWNER: &str = "quiz";

/// `banyan sagas …`
#[derive(Debug, Subcommand)]
pub enum Sagas {
    /// Sagas, newest first.
    List(List),
    /// One saga: its steps, what it waits for, and its timeline from its own history and the log; or a
    /// picture of its way.
    Show(Show),
    /// Try a step again, or, without one, the compensation that gave up.
    Retry(Retry),
    /// Say what a step's outcome was, when nobody else can.
    Resolve(Resolve),
    /// Take the saga back.
    Compensate(Act),
    /// Give the saga up: its owner takes back what is its own, nobody waits for the participants any
    /// more, and the audit shows it apart.
    Abandon(Act),
    /// What a timeout means for new sagas.
    Policy(Policy),
    /// Run a definition against scripted replies on a virtual clock and print what would happen; needs
    /// no running system. Exit 1 when the saga does not end as the script's `expect` says. The guide
    /// docs/writing-a-saga.md says what a script may say; docs/sagas has some.
    Simulate(Simulate),
}

/// `banyan sagas list`
#[derive(Debug, Args)]
pub struct List {
    /// `running`, `completed`, `compensating`, `compensated`, `needs_intervention`, `abandoned`,
    /// `parked`; or `open` for all that have not ended.
    #[arg(long)]
    state: Option<String>,
    /// Only those that started at least this many seconds ago.
    #[arg(long, value_name = "SECONDS")]
    older_than: Option<u32>,
    /// Only those that wait for this step, or for its undo.
    #[arg(long)]
    step: Option<String>,
    /// Only those of this definition.
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Only those of this chain of causes: the trace id of a request.
    #[arg(long, value_name = "ID")]
    correlation: Option<Uuid>,
    /// Those after a page: what `nextCursor` of its JSON says.
    #[arg(long)]
    cursor: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// `banyan sagas policy`
#[derive(Debug, Args)]
pub struct Policy {
    /// The definition; without it all policies are shown.
    definition: Option<String>,
    /// The step.
    #[arg(long, requires = "definition")]
    step: Option<String>,
    /// What a timeout means: `compensate`, `proceed`, `park`.
    #[arg(long, requires = "step", requires = "reason")]
    on_timeout: Option<String>,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("saga", "/id"),
    ("definition", "/definition"),
    ("state", "/state"),
    ("version", "/version"),
    ("open", "/open"),
    ("started", "/createdAt"),
    ("ended", "/endedAt"),
];

const POLICY: &[Column] = &[
    ("definition", "/definition"),
    ("step", "/step"),
    ("on timeout", "/onTimeout"),
];

impl Sagas {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (client, format) = (&context.client, context.format);
        match self {
            Self::List(list) => {
                let answer = client.ops(OWNER, Method::GET, &list.path(), None).await?;
                let more = answer["nextCursor"].as_str().map(ToOwned::to_owned);
                format.list(&with_open_steps(answer), COLUMNS)?;
                if let (Some(cursor), Format::Table) = (more, format) {
                    let _ = writeln!(io::stderr(), "there may be more: --cursor {cursor}");
                }
            }
            Self::Show(show) => show.run(context).await?,
            Self::Retry(retry) => retry.run(context).await?,
            Self::Resolve(resolve) => resolve.run(context).await?,
            Self::Compensate(act) => act.compensate(context).await?,
            Self::Abandon(act) => act.abandon(context).await?,
            Self::Policy(policy) => policy.run(context).await?,
            Self::Simulate(simulate) => simulate.run(format)?,
        }
        Ok(())
    }
}

impl List {
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        let given = [
            ("state", self.state.clone()),
            ("olderThan", self.older_than.map(|age| age.to_string())),
            ("step", self.step.clone()),
            ("definition", self.definition.clone()),
            ("correlation", self.correlation.map(|id| id.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        format!("/ops/sagas?{}", query.finish())
    }
}

/// Says of each saga which of its steps are open, in words.
fn with_open_steps(mut page: Value) -> Value {
    let items = page["items"].as_array_mut();
    for saga in items.into_iter().flatten() {
        let steps = saga["steps"].as_array().into_iter().flatten();
        let open: Vec<String> = steps.filter_map(open_step).collect();
        if !open.is_empty() {
            saga["open"] = json!(open);
        }
    }
    page
}

fn open_step(step: &Value) -> Option<String> {
    let (name, undo) = (step["name"].as_str()?, step["undo"].as_str()?);
    match (undo, step["progress"].as_str()?) {
        ("waiting" | "started" | "failed", _) => Some(format!("{name} undo {undo}")),
        ("idle", progress @ ("started" | "held")) => Some(format!("{name} {progress}")),
        _ => None,
    }
}

impl Policy {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (client, format) = (&context.client, context.format);
        let (Some(definition), Some(step), Some(on_timeout)) =
            (&self.definition, &self.step, &self.on_timeout)
        else {
            let answer = client
                .ops(OWNER, Method::GET, "/ops/sagas/policy", None)
                .await?;
            return Ok(format.list(&answer, POLICY)?);
        };
        let body = json!({ "definition": definition, "step": step, "onTimeout": on_timeout,
                           "reason": self.reason });
        let answer = client
            .ops(OWNER, Method::PUT, "/ops/sagas/policy", Some(&body))
            .await?;
        let sentence = format!("new {definition} sagas: {step} timed out means {on_timeout}");
        Ok(format.done(&sentence, &answer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_asked_for_whatever_its_letters() {
        let list = List {
            state: Some("open".to_owned()),
            older_than: Some(15),
            step: Some("a&b=c d".to_owned()),
            definition: None,
            correlation: Some(Uuid::nil()),
            cursor: None,
            limit: 50,
        };
        assert_eq!(
            list.path(),
            "/ops/sagas?limit=50&state=open&olderThan=15&step=a%26b%3Dc+d\
             &correlation=00000000-0000-0000-0000-000000000000"
        );
    }

    #[test]
    fn a_saga_of_a_list_says_which_steps_are_open() {
        let step = |name: &str, progress: &str, undo: &str| json!({ "name": name, "progress": progress, "undo": undo });
        let page = json!({ "items": [
            { "steps": [step("a", "done", "undone"), step("b", "unknown", "started")] },
            { "steps": [step("a", "held", "idle"), step("b", "waiting", "idle")] },
            { "steps": [step("a", "done", "idle")] },
        ] });
        let page = with_open_steps(page);
        assert_eq!(page["items"][0]["open"], json!(["b undo started"]));
        assert_eq!(page["items"][1]["open"], json!(["a held"]));
        assert_eq!(page["items"][2].get("open"), None);
    }
}
