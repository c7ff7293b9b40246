use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use database::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, asking};
use crate::{
    endpoints::Endpoints,
    output::{Column, Format},
};

/// `banyan consumers …`
#[derive(Debug, Subcommand)]
pub enum Consumers {
    /// Every consumer of every service: checkpoint, lag, parked events.
    List,
    /// Empty a projection and read the log again from its beginning, or from where its handler can
    /// take it back to.
    Replay(Replay),
    /// Build a projection again beside the one in use, from the log's beginning; readers see nothing of
    /// it. It shows in the list as `NAME@2`.
    Rebuild(Named),
    /// Put what was built beside in the place of the one in use, once it has read as far.
    Swap(Named),
    /// Give up what is being built beside.
    Abandon(Named),
    /// After the log was restored: let consumers go on with it, each from where it was, as far as
    /// that is provably right.
    Adopt(Adopt),
    /// Stop a consumer where it is, until it is resumed.
    Pause(Named),
    /// Let a paused consumer go on.
    Resume(Named),
}

/// One consumer.
#[derive(Debug, Args)]
pub struct Named {
    /// The service that owns it.
    service: String,
    /// Its name.
    consumer: String,
}

/// `banyan consumers adopt`
#[derive(Debug, Args)]
pub struct Adopt {
    /// Every consumer of every service.
    #[arg(long, conflicts_with_all = ["service", "consumer", "rewind"])]
    all: bool,
    /// The service that owns it.
    #[arg(required_unless_present = "all")]
    service: Option<String>,
    /// Its name.
    #[arg(required_unless_present = "all")]
    consumer: Option<String>,
    /// For a process that has handled events which the log has lost: go on from the last one that
    /// both have, and handle again what comes again.
    #[arg(long)]
    rewind: bool,
    /// Wait for services that do not answer yet, for this long at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, requires = "all")]
    wait: u64,
}

/// `banyan consumers replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// Which one.
    #[command(flatten)]
    named: Named,
    /// Take it back to this position and go on from there, instead of beginning anew.
    #[arg(long, value_name = "POSITION", conflicts_with = "since")]
    from: Option<i64>,
    /// Take it back to what the log had before this time, as `2026-03-01T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = asking::time)]
    since: Option<Timestamp>,
    /// Wait until it has read the log, for this long at most, and tell how far it is.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: Option<u64>,
}

/// Between two looks at a replay.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

const COLUMNS: &[Column] = &[
    ("service", "/service"),
    ("consumer", "/name"),
    ("kind", "/kind"),
    ("state", "/state"),
    ("position", "/position"),
    ("lag", "/lag"),
    ("parked", "/parked"),
    ("reason", "/reason"),
];

/// Asks every service that has consumers: the items of its answer, each with its `service`.
pub(super) async fn each(
    context: &Context,
    path: &str,
) -> Vec<(String, anyhow::Result<Vec<Value>>)> {
    let mut answers = Vec::new();
    for service in with_consumers(context.client.endpoints()) {
        let answer = context.client.ops(&service, Method::GET, path, None).await;
        let items = answer.map(|answer| {
            let mut items = answer["items"].as_array().cloned().unwrap_or_default();
            for item in &mut items {
                item["service"] = json!(service);
            }
            items
        });
        answers.push((service, items));
    }
    answers
}

/// The items of all services, as [`each`] asks them. A service that does not answer is an item with
/// the reason as its `reason`.
pub(super) async fn everywhere(context: &Context, path: &str) -> Vec<Value> {
    let answers = each(context, path).await.into_iter();
    let items = answers.flat_map(|(service, answer)| match answer {
        Ok(items) => items,
        Err(error) => vec![json!({
            "service": service, "state": "unreachable", "reason": format!("{error:#}"),
        })],
    });
    items.collect()
}

/// Legacy knows nothing of events, and the log has no consumers of its own.
pub(super) fn with_consumers(endpoints: &Endpoints) -> Vec<String> {
    let without = ["legacy", "log"];
    endpoints
        .services
        .keys()
        .filter(|name| !without.contains(&name.as_str()))
        .cloned()
        .collect()
}

impl Consumers {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let items = everywhere(context, "/ops/consumers").await;
                context.format.list(&json!({ "items": items }), COLUMNS)?;
                Ok(())
            }
            Self::Replay(replay) => replay.run(context).await,
            Self::Rebuild(named) => named.tell(context, "rebuild", "is built beside").await,
            Self::Swap(named) => {
                let done = "is the one that was built beside";
                named.tell(context, "swap", done).await
            }
            Self::Abandon(named) => {
                let done = "stays as it is; what was built beside is gone";
                named.tell(context, "abandon", done).await
            }
            Self::Adopt(adopt) => adopt.run(context).await,
            Self::Pause(named) => named.tell(context, "pause", "is paused").await,
            Self::Resume(named) => named.tell(context, "resume", "goes on").await,
        }
    }
}

impl Named {
    async fn tell(&self, context: &Context, verb: &str, done: &str) -> anyhow::Result<()> {
        let path = format!("/ops/consumers/{}/{verb}", self.consumer);
        let answer = context
            .client
            .ops(&self.service, Method::POST, &path, None)
            .await?;
        let sentence = format!("{} of {} {done}", self.consumer, self.service);
        Ok(context.format.done(&sentence, &answer)?)
    }
}

impl Adopt {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        if let (Some(service), Some(consumer)) = (self.service, self.consumer) {
            let verb = if self.rewind {
                "adopt?rewind=true"
            } else {
                "adopt"
            };
            let named = Named { service, consumer };
            return named.tell(context, verb, "goes on with the log").await;
        }
        let until = Instant::now() + Duration::from_secs(self.wait);
        let (items, refused) = loop {
            let (items, refused) = adopt_all(context).await;
            let is_up = items.iter().all(|item| item["state"] != "unreachable");
            if is_up || Instant::now() >= until {
                break (items, refused);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        };
        context.format.list(&json!({ "items": items }), COLUMNS)?;
        anyhow::ensure!(refused == 0, "{refused} consumers stand still");
        Ok(())
    }
}

/// What each consumer said, and how many did not adopt the log.
async fn adopt_all(context: &Context) -> (Vec<Value>, usize) {
    let mut items = Vec::new();
    let mut refused = 0;
    for mut item in everywhere(context, "/ops/consumers").await {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let (service, name) = (text("service"), text("name"));
        if item["state"] == "unreachable" {
            refused += 1;
            items.push(item);
            continue;
        }
        let path = format!("/ops/consumers/{name}/adopt");
        let answer = context.client.ops(&service, Method::POST, &path, None);
        match answer.await {
            Ok(adopted) => {
                item = adopted;
                item["service"] = json!(service);
                // What it does shows in a moment; that it may is what was asked.
                item["state"] = json!("adopted");
                item["reason"] = Value::Null;
            }
            Err(error) => {
                refused += 1;
                item["reason"] = json!(format!("{error:#}"));
            }
        }
        items.push(item);
    }
    (items, refused)
}

impl Replay {
    fn verb(&self) -> String {
        let asked = match (self.from, self.since) {
            (Some(position), _) => ("after", position.to_string()),
            (None, Some(time)) => ("since", time.to_string()),
            (None, None) => return "replay".to_owned(),
        };
        format!("replay?{}", asking::query(&[asked]))
    }

    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let verb = self.verb();
        let Self { named, wait, .. } = self;
        let Some(seconds) = wait else {
            return named.tell(context, &verb, "reads the log again").await;
        };
        let path = format!("/ops/consumers/{}/{verb}", named.consumer);
        let client = &context.client;
        let begun = client
            .ops(&named.service, Method::POST, &path, None)
            .await?;
        let until = Instant::now() + Duration::from_secs(seconds);
        // What comes in meanwhile does not count: the replay is through where the log ended then.
        let end = begun["position"].as_i64().unwrap_or(0) + begun["lag"].as_i64().unwrap_or(0);
        let mut told = None;
        loop {
            // No replica tells where it was before the reset, also one that has not heard of it.
            let now = named.look(context).await?;
            let position = now["position"].as_i64().unwrap_or(0);
            if position >= end {
                let Named { service, consumer } = &named;
                let sentence = format!("{consumer} of {service} has read the log up to {position}");
                return Ok(context.format.done(&sentence, &now)?);
            }
            if told.replace(position) != Some(position) && context.format == Format::Table {
                context.format.done(&format!("{position} of {end}"), &now)?;
            }
            if Instant::now() >= until {
                bail!("it is at {position} of {end} after {seconds} s; it goes on by itself");
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

impl Named {
    async fn look(&self, context: &Context) -> anyhow::Result<Value> {
        let path = "/ops/consumers";
        let answer = context
            .client
            .ops(&self.service, Method::GET, path, None)
            .await?;
        let mut items = answer["items"].as_array().into_iter().flatten();
        let found = items.find(|one| one["name"] == self.consumer).cloned();
        found.with_context(|| format!("{} has no consumer {:?}", self.service, self.consumer))
    }
}
