//! What a service does when a maintenance job runs: a bounded portion for each ask, in the
//! consumer's own transaction, told back with `maintenance.done`.
//!
//! The maintenance service asks by event and calls nobody. While a service says that there is more,
//! it is asked again; so no transaction is large, and a crash repeats one portion at most. A duty
//! that fails is told as such: its effects are rolled back, the answer that says why is not.

mod health;

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{MaintenanceAsked, MaintenanceDone},
};
use database::Tx;
use event_store::{
    Handler, HandlerError, Kind, NewEvent, Order, Outbox, consumer::Fault, derived_id,
};
use futures::FutureExt;
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

pub(crate) use self::health::{Health, Running};

/// Asks older than this are nobody's any more: a run ends by its timeout long before. A service
/// that reads the log from its beginning does not clean up what was due last year.
const STALE: Duration = Duration::hours(2);

/// The consumer's name.
const CONSUMER: &str = "maintenance-duties";

/// Characters of a failure that are told; the service's own log has all of it.
const ERROR_MAX: usize = 500;

/// What one service does in one job.
#[async_trait]
pub trait Duty: Send + Sync + 'static {
    /// The job's name.
    fn job(&self) -> &'static str;

    /// Does a bounded portion: what fits well into the seconds that a handler may take.
    ///
    /// # Errors
    /// [`HandlerError`]; a transient one is tried again. After any other, as after a panic, what
    /// this call did in `tx` is rolled back and the failure is told as the run's.
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
    /// What it did or found. Numbers of several portions are added up.
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
        let (portion, error) = match attempt(&**duty, tx, &ask).await? {
            Ok(portion) => (portion, None),
            Err(error) => {
                tracing::error!(job = asked.job, run = %asked.run_id, error, "duty failed");
                let nothing = Portion {
                    more: false,
                    detail: json!({}),
                };
                (nothing, Some(error))
            }
        };
        let done = MaintenanceDone {
            run_id: asked.run_id,
            job: asked.job,
            round: asked.round,
            service: self.service.to_owned(),
            more: portion.more,
            detail: portion.detail,
            error,
        };
        // The consumer has this name in every service; each answers the one ask.
        let answerer = format!("{CONSUMER}/{}", self.service);
        let event = NewEvent::of(&done)
            .stream(format!("maintenance-{}-{}", self.service, asked.run_id))
            .aggregate(asked.run_id)
            .caused_by(recorded)
            .id(derived_id(recorded.event.id, &answerer, 0));
        Outbox::new(self.service).defer(tx, event);
        Ok(())
    }
}

/// Lets the duty do its portion behind a savepoint, so that a failure can be told in the same
/// transaction that takes its effects back. A transient error is the caller's: all of it again.
async fn attempt(
    duty: &dyn Duty,
    tx: &mut Tx,
    ask: &Ask,
) -> Result<Result<Portion, String>, HandlerError> {
    tx.savepoint();
    let portion = AssertUnwindSafe(duty.perform(tx, ask)).catch_unwind().await;
    let error = match portion {
        Ok(Ok(portion)) => {
            tx.release().await?;
            return Ok(Ok(portion));
        }
        Ok(Err(error)) if error.fault() == Fault::Transient => return Err(error),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the duty panicked".to_owned(),
    };
    tx.take_back().await?;
    Ok(Err(error.chars().take(ERROR_MAX).collect()))
}
