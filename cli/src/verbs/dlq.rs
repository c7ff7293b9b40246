use anyhow::bail;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{Context, consumers::everywhere};
use crate::output::{Column, Format};

/// `banyan dlq …`
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// Every parked event of every service.
    List,
    /// One parked event with its error.
    Show(Parked),
    /// Give a parked event, and those that wait behind it, to its consumer again; or all of them.
    Retry(Retry),
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

/// `banyan dlq retry`
#[derive(Debug, Args)]
pub struct Retry {
    /// The service that parked it.
    service: String,
    /// Its consumer.
    consumer: String,
    /// The event's id.
    #[arg(required_unless_present = "all")]
    event: Option<Uuid>,
    /// Everything that the consumer has parked, stream by stream.
    #[arg(long, conflicts_with_all = ["event", "alone"])]
    all: bool,
    /// This event alone, also before earlier ones of its stream that stay parked. The consumer
    /// counts on their order: only where you know that it does no harm.
    #[arg(long)]
    alone: bool,
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
            Self::Retry(retry) => retry.run(context).await?,
            Self::Discard(parked) => parked.tell(context, "discard", "was given up").await?,
        }
        Ok(())
    }
}

impl Retry {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self {
            service,
            consumer,
            event,
            alone,
            ..
        } = self;
        let Some(event) = event else {
            return retry_all(context, &service, &consumer).await;
        };
        let parked = Parked {
            service,
            consumer,
            event,
        };
        let verb = if alone { "retry?alone=true" } else { "retry" };
        parked
            .tell(context, verb, "was given to its consumer")
            .await
    }
}

/// Portion by portion, so that none of them outlasts an HTTP request.
async fn retry_all(context: &Context, service: &str, consumer: &str) -> anyhow::Result<()> {
    let (mut handled, mut failed, mut first_error) = (0, 0, None);
    let mut next = Some(0);
    while let Some(after) = next {
        let path = format!("/ops/dlq/{consumer}/retry?after={after}");
        let answer = context
            .client
            .ops(service, Method::POST, &path, None)
            .await?;
        handled += answer["handled"].as_u64().unwrap_or(0);
        failed += answer["failed"].as_u64().unwrap_or(0);
        first_error = first_error.or_else(|| answer["error"].as_str().map(str::to_owned));
        next = answer["next"].as_i64();
        if next.is_some() && context.format == Format::Table {
            let sentence = format!("{handled} events of {consumer} were handled so far");
            context.format.done(&sentence, &answer)?;
        }
    }
    let all = json!({ "handled": handled, "failed": failed, "error": first_error });
    let sentence = format!("{handled} parked events of {consumer} were handled");
    context.format.done(&sentence, &all)?;
    match first_error {
        Some(error) => bail!("{failed} streams or events failed again, the first of them: {error}"),
        None => Ok(()),
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
