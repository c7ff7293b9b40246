use anyhow::bail;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{Context, consumers::everywhere};
use crate::output::Column;

/// `banyan dlq …`
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// Every parked event of every service.
    List,
    /// One parked event with its error.
    Show(Parked),
    /// Give a parked event, and those that wait behind it, to its consumer again.
    Retry(Parked),
    /// Give a parked event up.
    Discard(Parked),
}

/// One parked event.
#[derive(Debug, Args)]
pub struct Parked {
    /// The service that parked it.
    service: String,
    /// Its consumer.
    consumer: String,
    /// The event's id.
    event: Uuid,
}

/// Parked events of one service shown at most, the oldest; there are rarely more than a few.
const SHOWN: u32 = 1_000;

const COLUMNS: &[Column] = &[
    ("service", "/service"),
    ("state", "/state"),
    ("consumer", "/consumer"),
    ("event", "/eventId"),
    ("position", "/position"),
    ("type", "/type"),
    ("stream", "/stream"),
    ("parked", "/parkedAt"),
    ("attempts", "/attempts"),
    ("error", "/error"),
    ("reason", "/reason"),
];

impl Dlq {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let items = everywhere(context, &format!("/ops/dlq?limit={SHOWN}")).await;
                context.format.list(&json!({ "items": items }), COLUMNS)?;
            }
            Self::Show(parked) => {
                let path = parked.path();
                let answer = context
                    .client
                    .ops(&parked.service, Method::GET, &path, None)
                    .await?;
                context.format.record(&answer)?;
            }
            Self::Retry(parked) => {
                parked
                    .tell(context, "retry", "was given to its consumer")
                    .await?;
            }
            Self::Discard(parked) => parked.tell(context, "discard", "was given up").await?,
        }
        Ok(())
    }
}

impl Parked {
    fn path(&self) -> String {
        format!("/ops/dlq/{}/{}", self.consumer, self.event)
    }

    async fn tell(&self, context: &Context, verb: &str, done: &str) -> anyhow::Result<()> {
        let path = format!("{}/{verb}", self.path());
        let answer = context
            .client
            .ops(&self.service, Method::POST, &path, None)
            .await?;
        context
            .format
            .done(&format!("event {} {done}", self.event), &answer)?;
        match answer["error"].as_str() {
            Some(error) => bail!("an event of its stream is parked still: {error}"),
            None => Ok(()),
        }
    }
}
