//! What a service does when a maintenance job runs: a bounded portion for each ask, in the
//! consumer's own transaction, told back with `maintenance.done`.
//!
//! The maintenance service asks by event and calls nobody. While a service says that there is more,
//! it is asked again; so no transaction is large, and a crash repeats one portion at most.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{MaintenanceAsked, MaintenanceDone},
};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, NewEvent, Order, Outbox, derived_id};
use serde_json::Value;
use time::Duration;
use uuid::Uuid;

/// Asks older than this are nobody's any more: a run ends by its timeout long before. A service
/// that reads the log from its beginning does not clean up what was due last year.
const STALE: Duration = Duration::hours(2);

/// The consumer's name.
const CONSUMER: &str = "maintenance-duties";

/// What one service does in one job.
#[async_trait]
pub trait Duty: Send + Sync + 'static {
    /// The job's name.
    fn job(&self) -> &'static str;

    /// Does a bounded portion.
    ///
    /// # Errors
    /// [`HandlerError`]; a transient one is tried again, any other is told as the run's failure.
    async fn perform(&self, tx: &mut Tx, ask: &Ask) -> Result<Portion, HandlerError>;
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The run.
    pub run_id: Uuid,
    /// From 1.
    pub round: i64,
    /// What the job is told; by its own rules.
    pub parameters: Value,
}

/// What was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Portion {
    /// Whether there is more to do.
    pub more: bool,
    /// What it did or found. Numbers of several portions and services are added up.
    pub detail: Value,
}

/// All duties of one service.
pub(crate) struct Duties {
    service: &'static str,
    duties: Vec<Arc<dyn Duty>>,
}

impl Duties {
    pub(crate) fn new(service: &'static str, duties: Vec<Arc<dyn Duty>>) -> Self {
        Self { service, duties }
    }
}

#[async_trait]
impl Handler for Duties {
    fn name(&self) -> &'static str {
        CONSUMER
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn order(&self) -> Order {
        Order::Unimportant
    }

    fn types(&self) -> &'static [&'static str] {
        &[MaintenanceAsked::TYPE]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let asked: MaintenanceAsked = recorded.event.payload()?;
        let now = time::OffsetDateTime::from(tx.now().await?);
        if now - recorded.event.timestamp > STALE {
            return Ok(());
        }
        let Some(duty) = self.duties.iter().find(|duty| duty.job() == asked.job) else {
            return Ok(());
        };
        let ask = Ask {
            run_id: asked.run_id,
            round: asked.round,
            parameters: asked.parameters,
        };
        let portion = duty.perform(tx, &ask).await?;
        let done = MaintenanceDone {
            run_id: asked.run_id,
            job: asked.job,
            round: asked.round,
            service: self.service.to_owned(),
            more: portion.more,
            detail: portion.detail,
            error: None,
        };
        let event = NewEvent::of(&done)
            .stream(format!("maintenance-{}-{}", self.service, asked.run_id))
            .aggregate(asked.run_id)
            .caused_by(recorded)
            .id(derived_id(recorded.event.id, CONSUMER, 0));
        Outbox::new(self.service).enqueue(tx, event).await?;
        Ok(())
    }
}
