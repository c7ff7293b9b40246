use std::{
    io::{self, Write},
    time::Duration,
};

use clap::{Args, Subcommand};
use database::Timestamp;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::{Context, asking};
use crate::output::{Column, Format};

/// How long the log holds a question of `tail` open while nothing is new.
const TAIL_WAIT: Duration = Duration::from_secs(5);
/// How many events `tail` asks for at once.
const TAIL_PAGE: u32 = 500;

/// `banyan events …`
#[derive(Debug, Subcommand)]
pub enum Events {
    /// The newest events, and then each as it comes.
    Tail(Tail),
    /// One event, whole.
    Show {
        /// Its position in the log, or its id.
        event: String,
    },
    /// All events that one click caused, in order.
    Trace {
        /// The correlation id: the trace id of the request.
        correlation: String,
    },
    /// The log's head, and how many events there are of each type.
    Stats,
}

/// `banyan events tail`
#[derive(Debug, Args)]
pub struct Tail {
    /// Begin after this position; else with the last few events.
    #[arg(long)]
    from: Option<i64>,
    /// Begin with what the log took at this time or later, as `2026-03-01T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = asking::time, conflicts_with = "from")]
    since: Option<Timestamp>,
    /// Only these types.
    #[arg(long = "type", value_delimiter = ',')]
    types: Vec<String>,
    /// Only this stream.
    #[arg(long)]
    stream: Option<String>,
    /// Only streams of this category: what stands before their first hyphen.
    #[arg(long)]
    category: Option<String>,
    /// Only what one click caused.
    #[arg(long)]
    correlation: Option<Uuid>,
    /// How many to begin with.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Stop at the head instead of waiting for more.
    #[arg(long)]
    no_follow: bool,
}

const COLUMNS: &[Column] = &[
    ("position", "/position"),
    ("at", "/timestamp"),
    ("type", "/type"),
    ("stream", "/stream"),
    ("version", "/version"),
    ("service", "/serviceId"),
];

impl Events {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let (client, format) = (&context.client, context.format);
        match self {
            Self::Tail(tail) => tail.run(context).await?,
            Self::Show { event } => {
                let event = match event.parse::<i64>() {
                    Ok(position) => at(context, position).await?,
                    Err(_) => {
                        let path = format!("/ops/events/{event}");
                        client.ops("log", Method::GET, &path, None).await?
                    }
                };
                format.record(&event)?;
            }
            Self::Trace { correlation } => {
                let path = format!("/ops/events/trace/{correlation}");
                let events = client.ops("log", Method::GET, &path, None).await?;
                format.list(&events, COLUMNS)?;
            }
            Self::Stats => {
                let stats = client
                    .ops("log", Method::GET, "/ops/events/stats", None)
                    .await?;
                format.record(&stats)?;
            }
        }
        Ok(())
    }
}

/// The event at a position.
async fn at(context: &Context, position: i64) -> anyhow::Result<Value> {
    let path = format!("/ops/events?after={}&limit=1", position - 1);
    let page = context.client.ops("log", Method::GET, &path, None).await?;
    let event = page["items"][0].clone();
    anyhow::ensure!(
        event["position"] == position,
        "the log has no position {position}"
    );
    Ok(event)
}

impl Tail {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let mut after = self.begin(context).await?;
        loop {
            let path = self.path(after);
            let page = context.client.ops("log", Method::GET, &path, None).await?;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            for event in &items {
                print(context.format, event)?;
                after = event["position"].as_i64().unwrap_or(after);
            }
            if items.is_empty() && self.no_follow {
                return Ok(());
            }
        }
    }

    /// The position after which it begins.
    async fn begin(&self, context: &Context) -> anyhow::Result<i64> {
        if let Some(position) = self.from {
            return Ok(position);
        }
        let path = match self.since {
            Some(time) => format!(
                "/ops/events/head?{}",
                asking::query(&[("before", time.to_string())])
            ),
            None => "/ops/events/head".to_owned(),
        };
        let head = context.client.ops("log", Method::GET, &path, None).await?;
        let position = head["position"].as_i64().unwrap_or(0);
        Ok(match self.since {
            Some(_) => position,
            None => (position - i64::from(self.limit)).max(0),
        })
    }

    fn path(&self, after: i64) -> String {
        let mut asked = vec![
            ("after", after.to_string()),
            ("limit", TAIL_PAGE.to_string()),
        ];
        if !self.no_follow {
            asked.push(("wait", TAIL_WAIT.as_secs().to_string()));
        }
        if !self.types.is_empty() {
            asked.push(("types", self.types.join(",")));
        }
        let texts = [
            ("stream", self.stream.clone()),
            ("category", self.category.clone()),
            ("correlation", self.correlation.map(|id| id.to_string())),
        ];
        asked.extend(
            texts
                .into_iter()
                .filter_map(|(name, text)| Some((name, text?))),
        );
        format!("/ops/events?{}", asking::query(&asked))
    }
}

/// One event a line, so that it can be read as it comes.
fn print(format: Format, event: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{event}"),
        Format::Table => {
            let text = |name: &str| event[name].as_str().unwrap_or("–").to_owned();
            writeln!(
                out,
                "{:>8}  {:<27}  {:<28}  {} v{}",
                event["position"].to_string(),
                text("timestamp"),
                text("type"),
                text("stream"),
                event["version"]
            )
        }
    }
}
