use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Context;
use crate::output::Column;

/// The service that owns the sagas.
const OWNER: &str = "quiz";

/// `banyan sagas …`
#[derive(Debug, Subcommand)]
pub enum Sagas {
    /// Sagas, newest first.
    List(List),
    /// One saga: its steps, deadlines and timeline.
    Show {
        /// The saga.
        id: Uuid,
    },
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
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// A saga and why.
#[derive(Debug, Args)]
pub struct Act {
    /// The saga.
    id: Uuid,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
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
                let state = list
                    .state
                    .map(|state| format!("&state={state}"))
                    .unwrap_or_default();
                let age = list
                    .older_than
                    .map(|seconds| format!("&olderThan={seconds}"))
                    .unwrap_or_default();
                let path = format!("/ops/sagas?limit={}{state}{age}", list.limit);
                format.list(&client.ops(OWNER, Method::GET, &path, None).await?, COLUMNS)?;
            }
            Self::Show { id } => {
                let path = format!("/ops/sagas/{id}");
                format.record(&client.ops(OWNER, Method::GET, &path, None).await?)?;
            }
            Self::Retry(retry) => {
                let body = match &retry.step {
                    Some(step) => json!({ "step": step }),
                    None => json!({}),
                };
                retry.act.tell(context, "retry", body).await?;
            }
            Self::Resolve(resolve) => {
                let outcome = match resolve.outcome {
                    Outcome::Done => "done",
                    Outcome::Refused => "refused",
                    Outcome::Undone => "undone",
                };
                let body = json!({ "step": resolve.step, "outcome": outcome });
                resolve.act.tell(context, "resolve", body).await?;
            }
            Self::Compensate(act) => act.tell(context, "compensate", json!({})).await?,
            Self::Abandon(act) => act.tell(context, "abandon", json!({})).await?,
            Self::Policy(policy) => policy.run(context).await?,
        }
        Ok(())
    }
}

impl Act {
    /// Tells the owner, on the state that was just read: if the saga moves meanwhile, it refuses.
    async fn tell(&self, context: &Context, verb: &str, mut body: Value) -> anyhow::Result<()> {
        let path = format!("/ops/sagas/{}", self.id);
        let saga = context.client.ops(OWNER, Method::GET, &path, None).await?;
        body["reason"] = json!(self.reason);
        body["ifVersion"] = saga["version"].clone();
        let path = format!("{path}/{verb}");
        let answer = context
            .client
            .ops(OWNER, Method::POST, &path, Some(&body))
            .await?;
        let state = answer["state"].as_str().unwrap_or("changed");
        Ok(context
            .format
            .done(&format!("saga {} is {state}", self.id), &answer)?)
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
