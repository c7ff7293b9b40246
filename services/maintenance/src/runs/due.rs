//! What time brings: runs that are due, and runs whose time is over.
//!
//! A due time is decided once: whoever holds the job's row first moves `decided_until` past it, and
//! the run's row is unique by job and due time besides.

use std::time::Duration;

use contracts::http::{RunStatus, RunTrigger};
use database::{Result, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Runs, Wish};
use crate::{
    config::Job,
    domain::{Due, Missed, Orders, Work},
    store::{
        jobs, participants,
        runs::{self, End},
    },
};

/// How far back due times are looked for that passed while nobody ran: a longer outage is not
/// caught up with by maintenance.
const LOOK_BACK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A due time that is noticed later than this was missed: several looks and a busy database fit in.
const PUNCTUAL: Duration = Duration::from_secs(60);

/// Due times are decided when they are over: what is decided further ahead was decided by a clock
/// that was wrong.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// Portions of one pruning at most: more than two prunings bring.
const PORTIONS: u32 = 1_000;

/// Runs that a job's history has at most; the oldest go first.
const HISTORY: i64 = 5_000;

impl Runs {
    /// Looks once at the clock and does what it is time for.
    ///
    /// # Errors
    /// As the database says; what was done until then stays.
    pub async fn look(&self) -> Result<()> {
        let now = self.now().await?;
        for (name, decided) in jobs::decided(self.db()).await? {
            let Some(job) = self.jobs().get(&name) else {
                continue;
            };
            if decided > now + AHEAD {
                self.set_back(job).await?;
            } else if due(job, decided, now).is_some() {
                self.decide(job).await?;
            }
        }
        for run in runs::overdue(self.db(), now).await? {
            if let Some(job) = self.jobs().get(&run.job) {
                self.time_out(job, run.id).await?;
            }
        }
        self.count_endings().await
    }

    /// Removes what is older than the history goes back.
    ///
    /// # Errors
    /// As the database says.
    pub async fn forget(&self, kept: Duration) -> Result<()> {
        let old = self.now().await? - kept;
        for job in self.jobs().iter() {
            for _ in 0..PORTIONS {
                let removed = runs::prune(self.db(), job.name(), old, HISTORY).await?;
                if removed < runs::PRUNED {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Forgets what a clock decided that was ahead: the job would not be due before that time. A due
    /// time that had its run does not get another.
    async fn set_back(&self, job: &Job) -> Result<()> {
        let mut tx = self.db().begin().await?;
        let decided = jobs::hold(&mut tx, job.name()).await?;
        let now = self.inner.clock.now_within(&mut tx).await?;
        if decided > now + AHEAD {
            tracing::warn!(job = job.name(), %decided, "a clock was ahead; due again from now on");
            jobs::decide(&mut tx, job.name(), now).await?;
        }
        tx.commit().await
    }

    /// Makes one run of what is due.
    async fn decide(&self, job: &Job) -> Result<()> {
        let mut tx = self.db().begin().await?;
        let decided = jobs::hold(&mut tx, job.name()).await?;
        let now = self.inner.clock.now_within(&mut tx).await?;
        // Another replica was faster, or nothing is due after all.
        let Some(due) = due(job, decided, now) else {
            return Ok(());
        };
        jobs::decide(&mut tx, job.name(), due.newest).await?;
        let is_late = now.since(due.newest) > PUNCTUAL;
        let wish = Wish {
            id: Uuid::now_v7(),
            trigger: if is_late {
                RunTrigger::Missed
            } else {
                RunTrigger::Schedule
            },
            scheduled_for: Some(due.newest),
            orders: Orders {
                parameters: Value::Object(job.parameters.clone()),
                reason: None,
            },
            actor: None,
            request_key: None,
            when_busy: Self::rule(job),
        };
        if is_late && job.missed == Missed::Skip {
            let detail = json!({ "missed": due.count });
            self.note(&mut tx, job, &wish, RunStatus::Skipped, detail)
                .await?;
        } else {
            self.enter_within(&mut tx, job, &wish).await?;
        }
        tx.commit().await
    }

    async fn time_out(&self, job: &Job, id: Uuid) -> Result<()> {
        let mut tx = self.db().begin().await?;
        jobs::hold(&mut tx, job.name()).await?;
        let services = participants::all(&mut tx, id).await?;
        let silent: Vec<&str> = services
            .iter()
            .filter(|service| service.more)
            .map(|service| service.service.as_str())
            .collect();
        let end = match job.definition.work {
            Work::Survey(_) => self.surveyed(&services),
            _ => End {
                status: RunStatus::TimedOut,
                detail: Self::account(&services),
                error: Some(match silent.as_slice() {
                    [] => "the run took too long".to_owned(),
                    silent => format!("no answer of {}", silent.join(", ")),
                }),
            },
        };
        self.end(&mut tx, job, id, None, &end).await?;
        tx.commit().await
    }
}

/// What is due of a job now.
fn due(job: &Job, decided: Timestamp, now: Timestamp) -> Option<Due> {
    let schedule = job.schedule.as_ref().filter(|_| job.enabled)?;
    schedule.due(decided.max(now - LOOK_BACK), now)
}
