//! The life of a run, from whatever starts it to its end.
//!
//! Invariant: every step of a run is one transaction that holds the job's row, with the events that
//! it emits in it. So a run that services take part in needs no holder: any replica that sees an
//! answer, or the deadline, takes the next step, and one that dies leaves nothing undone.

mod due;
mod ended;
mod replies;

use std::sync::Arc;

use contracts::{
    events::{MaintenanceAsked, MaintenanceEnded, UserStatsReset},
    http::{RunStatus, RunTrigger},
};
use database::{Database, Result, Timestamp, Tx};
use event_store::{NewEvent, Outbox, derived_id};
use sagas::Clock;
use serde_json::{Value, json};
use uuid::Uuid;

use self::ended::Endings;
use crate::{
    config::{Job, Jobs},
    domain::{Limits, Orders, Overlap, Work},
    metrics::Metrics,
    store::{
        holds::Hold,
        jobs, participants,
        runs::{self, End, NewRun, Run},
    },
};

/// The signal that every change of a run raises.
pub(crate) const SIGNAL: &str = "maintenance-runs";

/// All jobs and their runs. Clones share them.
#[derive(Clone)]
pub struct Runs {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    outbox: Outbox,
    jobs: Jobs,
    clock: Arc<dyn Clock>,
    limits: Limits,
    metrics: Metrics,
    endings: Endings,
}

/// What somebody wants to be run.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The run's id, should there be one.
    pub id: Uuid,
    /// What starts it.
    pub trigger: RunTrigger,
    /// The due time that it stands for.
    pub scheduled_for: Option<Timestamp>,
    /// What the job is told.
    pub orders: Orders,
    /// Who asks.
    pub actor: Option<String>,
    /// The asker's Idempotency-Key, with who it is.
    pub request_key: Option<String>,
    /// What to do while another run of the job runs.
    pub when_busy: WhenBusy,
}

/// What becomes of a wish while another run of the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// The asker is told.
    Refuse,
    /// It is noted as skipped.
    Skip,
    /// It waits, unless one waits already.
    Queue,
}

/// What became of a wish.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A run, begun or waiting.
    Run(Box<Run>),
    /// Nothing but a line in the history.
    Skipped,
    /// Nothing: this run is in the way.
    Busy(Uuid),
    /// Nothing: the due time or the event had its run before, or the event's is the one that waits.
    Known,
}

impl Runs {
    /// Runs `jobs` in `db`.
    pub fn new(
        db: Database,
        outbox: Outbox,
        jobs: Jobs,
        clock: Arc<dyn Clock>,
        limits: Limits,
        metrics: Metrics,
    ) -> Self {
        let inner = Inner {
            db,
            outbox,
            jobs,
            clock,
            limits,
            metrics,
            endings: Endings::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.inner.jobs
    }

    /// The service's database.
    pub fn db(&self) -> &Database {
        &self.inner.db
    }

    /// The time.
    ///
    /// # Errors
    /// As the database says.
    pub async fn now(&self) -> Result<Timestamp> {
        self.inner.clock.now(&self.inner.db).await
    }

    /// Notes the jobs that are new.
    pub async fn ensure_jobs(&self) -> Result<()> {
        let mut tx = self.inner.db.begin().await?;
        let now = self.inner.clock.now_within(&mut tx).await?;
        for job in self.inner.jobs.iter() {
            jobs::ensure(&mut tx, job.name(), now).await?;
        }
        tx.commit().await
    }

    /// Takes a wish.
    ///
    /// # Errors
    /// As the database says.
    pub async fn enter(&self, job: &Job, wish: &Wish) -> Result<Entry> {
        let mut tx = self.inner.db.begin().await?;
        let entry = self.enter_within(&mut tx, job, wish).await?;
        tx.commit().await?;
        Ok(entry)
    }

    /// Takes a wish as part of a transaction.
    ///
    /// # Errors
    /// As the database says.
    pub async fn enter_within(&self, tx: &mut Tx, job: &Job, wish: &Wish) -> Result<Entry> {
        jobs::hold(tx, job.name()).await?;
        if let Some(key) = &wish.request_key
            && let Some(run) = runs::by_key(tx, job.name(), key).await?
        {
            return Ok(Entry::Run(Box::new(run)));
        }
        let Some(running) = runs::with_status(tx, job.name(), RunStatus::Running).await? else {
            if !self
                .note(tx, job, wish, RunStatus::Running, json!({}))
                .await?
            {
                return Ok(Entry::Known);
            }
            self.begin(tx, job, wish.id, &wish.orders.parameters)
                .await?;
            return self.entered(tx, wish.id).await;
        };
        let why = match wish.when_busy {
            WhenBusy::Refuse => return Ok(Entry::Busy(running.id)),
            WhenBusy::Skip => json!({ "running": running.id }),
            WhenBusy::Queue => match runs::with_status(tx, job.name(), RunStatus::Queued).await? {
                None => {
                    let noted = self
                        .note(tx, job, wish, RunStatus::Queued, json!({}))
                        .await?;
                    return if noted {
                        self.entered(tx, wish.id).await
                    } else {
                        Ok(Entry::Known)
                    };
                }
                Some(queued) => {
                    let covers = queued.parameters.0 == wish.orders.parameters;
                    match wish.trigger {
                        // A key is one run's; what joins another's would be asked for anew by
                        // the next request with the key.
                        RunTrigger::Request if covers && wish.request_key.is_none() => {
                            return Ok(Entry::Run(Box::new(queued)));
                        }
                        RunTrigger::Request => return Ok(Entry::Busy(queued.id)),
                        // Events may come by the thousand: nothing is lost, nothing is noted.
                        RunTrigger::Event if covers => return Ok(Entry::Known),
                        _ => {}
                    }
                    json!({ "running": running.id, "queued": queued.id })
                }
            },
        };
        let noted = self.note(tx, job, wish, RunStatus::Skipped, why).await?;
        Ok(if noted { Entry::Skipped } else { Entry::Known })
    }

    /// The rule for a wish that the job's own overlap rule decides on.
    pub(crate) fn rule(job: &Job) -> WhenBusy {
        match job.overlap {
            Overlap::Skip => WhenBusy::Skip,
            Overlap::Queue => WhenBusy::Queue,
        }
    }

    async fn entered(&self, tx: &mut Tx, id: Uuid) -> Result<Entry> {
        let run = runs::find_in(tx, id).await?;
        Ok(run.map_or(Entry::Known, |run| Entry::Run(Box::new(run))))
    }

    async fn note(
        &self,
        tx: &mut Tx,
        job: &Job,
        wish: &Wish,
        status: RunStatus,
        detail: Value,
    ) -> Result<bool> {
        let now = self.inner.clock.now_within(tx).await?;
        let new = NewRun {
            id: wish.id,
            job: job.name(),
            trigger: wish.trigger,
            status,
            scheduled_for: wish.scheduled_for,
            parameters: &wish.orders.parameters,
            actor: wish.actor.as_deref(),
            reason: wish.orders.reason.as_deref(),
            request_key: wish.request_key.as_deref(),
            detail,
        };
        let noted = runs::insert(tx, &new, now).await?;
        if noted && status == RunStatus::Skipped {
            self.inner.endings.expect(wish.id);
        }
        tx.signal(SIGNAL);
        Ok(noted)
    }

    /// Begins a noted run: asks the services, writes the event, or leaves it to a worker.
    async fn begin(&self, tx: &mut Tx, job: &Job, id: Uuid, parameters: &Value) -> Result<()> {
        let now = self.inner.clock.now_within(tx).await?;
        let deadline = now + job.timeout;
        tx.signal(SIGNAL);
        match job.definition.work {
            Work::Services(_) | Work::Survey(_) => {
                runs::begin(tx, id, 1, now, deadline).await?;
                for service in &job.participants {
                    participants::expect(tx, id, service).await?;
                }
                self.ask(tx, job, id, 1, parameters).await
            }
            Work::Local => runs::begin(tx, id, 0, now, deadline).await,
            Work::Event => {
                runs::begin(tx, id, 0, now, deadline).await?;
                let end = self.reset(tx, id, parameters).await?;
                self.end(tx, job, id, None, &end).await?;
                Ok(())
            }
        }
    }

    async fn ask(
        &self,
        tx: &mut Tx,
        job: &Job,
        id: Uuid,
        round: i64,
        parameters: &Value,
    ) -> Result<()> {
        let asked = MaintenanceAsked {
            run_id: id,
            job: job.name().to_owned(),
            round,
            parameters: parameters.clone(),
        };
        let number = u32::try_from(round).unwrap_or(u32::MAX);
        self.emit(
            tx,
            id,
            NewEvent::of(&asked),
            derived_id(id, "asked", number),
        )
        .await
    }

    /// The job that is one event.
    async fn reset(&self, tx: &mut Tx, id: Uuid, parameters: &Value) -> Result<End> {
        let text = |name: &str| parameters[name].as_str().unwrap_or_default();
        let Ok(user_id) = Uuid::try_parse(text("userId")) else {
            return Ok(End {
                status: RunStatus::Failed,
                detail: json!({}),
                error: Some("parameters.userId must be the id of a user".to_owned()),
            });
        };
        let event = UserStatsReset {
            user_id,
            reason: text("reason").to_owned(),
        };
        self.emit(tx, id, NewEvent::of(&event), derived_id(id, "reset", 0))
            .await?;
        Ok(End {
            status: RunStatus::Completed,
            detail: json!({ "userId": user_id }),
            error: None,
        })
    }

    async fn emit(&self, tx: &mut Tx, id: Uuid, event: NewEvent, event_id: Uuid) -> Result<()> {
        let event = event
            .stream(format!("maintenance-{id}"))
            .aggregate(id)
            .id(event_id);
        self.inner.outbox.enqueue(tx, event).await?;
        Ok(())
    }

    /// Ends a run that runs, and begins the one that waited for it. False when it is over already,
    /// or `hold` is no longer the newest. The transaction holds the job's row.
    pub(crate) async fn end(
        &self,
        tx: &mut Tx,
        job: &Job,
        id: Uuid,
        hold: Option<Hold>,
        end: &End,
    ) -> Result<bool> {
        let now = self.inner.clock.now_within(tx).await?;
        if !runs::end(tx, id, hold, end, now).await? {
            return Ok(false);
        }
        let ended = MaintenanceEnded {
            run_id: id,
            job: job.name().to_owned(),
            outcome: runs::status_name(end.status).to_owned(),
            detail: end.detail.clone(),
        };
        self.emit(tx, id, NewEvent::of(&ended), derived_id(id, "ended", 0))
            .await?;
        self.inner.endings.expect(id);
        tx.signal(SIGNAL);
        self.begin_waiting(tx, job).await?;
        Ok(true)
    }

    /// Begins the run that waits. What it begins may end at once, and let another begin.
    async fn begin_waiting(&self, tx: &mut Tx, job: &Job) -> Result<()> {
        if let Some(waiting) = runs::with_status(tx, job.name(), RunStatus::Queued).await? {
            Box::pin(self.begin(tx, job, waiting.id, &waiting.parameters.0)).await?;
        }
        Ok(())
    }

    /// Ends a held run with what its work came to; false when it was no longer ours to end.
    pub(crate) async fn finish(&self, job: &Job, hold: Hold, end: &End) -> Result<bool> {
        let mut tx = self.inner.db.begin().await?;
        jobs::hold(&mut tx, job.name()).await?;
        let ended = self.end(&mut tx, job, hold.run_id, Some(hold), end).await?;
        tx.commit().await?;
        Ok(ended)
    }
}
