//! What the log changes here: answers to asks, wishes for runs, and the counts of each day.

mod counting;

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{MaintenanceDone, MaintenanceRequested},
    http::{RunTrigger, StartMaintenance},
};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, Order, derived_id};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

pub use counting::{COUNTS, Counts};

use crate::{
    config::Job,
    domain::{self, Orders},
    runs::{Runs, SIGNAL, WhenBusy, Wish},
};

/// Wishes older than this are nobody's any more; a new service reads the log from its beginning.
const STALE: Duration = Duration::hours(1);

/// Characters of an actor's name or a reason that are kept.
const TEXT_MAX: usize = 200;

/// The name of [`Wishes`].
const WISHES: &str = "maintenance-wishes";

/// Takes the services' answers.
pub struct Replies(pub Runs);

/// Starts runs that events ask for: `maintenance.requested`, and the types that jobs name.
pub struct Wishes {
    runs: Runs,
    types: &'static [&'static str],
}

impl Wishes {
    /// Starts runs of these jobs.
    pub fn new(runs: Runs) -> Self {
        let mut types = vec![MaintenanceRequested::TYPE];
        types.extend(runs.jobs().iter().flat_map(|job| job.on.iter().copied()));
        types.sort_unstable();
        types.dedup();
        // Made once in a process's life; a handler names its types for ever.
        let types = Vec::leak(types);
        Self { runs, types }
    }

    async fn requested(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let wanted: MaintenanceRequested = recorded.event.payload()?;
        let Some(job) = self.runs.jobs().get(&wanted.job) else {
            tracing::warn!(job = wanted.job, id = %recorded.event.id, "no such job was asked for");
            return Ok(());
        };
        let parameters = match wanted.parameters {
            Value::Object(parameters) => parameters,
            _ => serde_json::Map::new(),
        };
        let told = StartMaintenance {
            parameters,
            reason: Some(wanted.reason.chars().take(TEXT_MAX).collect()),
        };
        // Nobody waits for an answer: a faulty wish is set aside, where operators see it.
        let orders = job.orders(told).map_err(HandlerError::poison)?;
        domain::check_day(&orders, tx.now().await?).map_err(HandlerError::poison)?;
        let actor = wanted.actor.chars().take(TEXT_MAX).collect();
        self.wish(tx, recorded, job, orders, Some(actor), Runs::rule(job))
            .await
    }

    async fn wish(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
        job: &Job,
        orders: Orders,
        actor: Option<String>,
        when_busy: WhenBusy,
    ) -> Result<(), HandlerError> {
        let wish = Wish {
            id: derived_id(recorded.event.id, job.name(), 0),
            trigger: RunTrigger::Event,
            scheduled_for: None,
            orders,
            actor,
            request_key: None,
            when_busy,
        };
        self.runs.enter_within(tx, job, &wish).await?;
        Ok(())
    }
}

#[async_trait]
impl Handler for Replies {
    fn name(&self) -> &'static str {
        "maintenance-replies"
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn order(&self) -> Order {
        Order::Unimportant
    }

    fn types(&self) -> &'static [&'static str] {
        &[MaintenanceDone::TYPE]
    }

    fn signals(&self) -> &'static [&'static str] {
        &[SIGNAL]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        self.0.reply(tx, recorded).await
    }
}

#[async_trait]
impl Handler for Wishes {
    fn name(&self) -> &'static str {
        WISHES
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn order(&self) -> Order {
        Order::Unimportant
    }

    fn types(&self) -> &'static [&'static str] {
        self.types
    }

    fn signals(&self) -> &'static [&'static str] {
        &[SIGNAL]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let now = OffsetDateTime::from(tx.now().await?);
        if now - recorded.event.timestamp > STALE {
            return Ok(());
        }
        let kind = recorded.event.event_type.as_str();
        if kind == MaintenanceRequested::TYPE {
            return self.requested(tx, recorded).await;
        }
        for job in self.runs.jobs().iter() {
            if !job.enabled || !job.on.contains(&kind) {
                continue;
            }
            let orders = Orders {
                parameters: Value::Object(job.parameters.clone()),
                reason: None,
            };
            // A run that runs already may have passed by what this event tells of: one more, but
            // never more than one, follows it.
            self.wish(tx, recorded, job, orders, None, WhenBusy::Queue)
                .await?;
        }
        Ok(())
    }
}
