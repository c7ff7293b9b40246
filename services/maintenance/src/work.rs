//! The work that this service does itself.
//!
//! One replica holds a run by a lease with a token; while it works it renews the lease. One that
//! died is followed by another when its lease is over, which begins the work again: all of it can
//! be repeated. One that lost its lease without knowing cannot end the run: its token is old.

use std::time::Duration;

use chassis::Shutdown;
use contracts::http::RunStatus;
use database::Timestamp;
use event_store::{Log, consumer::Progress};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    archive::{Archive, ArchiveError},
    config::Job,
    domain::{self, DAILY_REPORT, Day, LOG_ARCHIVE, LOG_SNAPSHOT, Work},
    runs::Runs,
    store::{
        archive as archives, counts,
        holds::{self, Hold},
        jobs,
        runs::{self, End, Run},
    },
};

/// How long a holder that died keeps others out.
const LEASE: Duration = Duration::from_secs(15);

/// How often a holder renews: three times may fail.
const RENEW: Duration = Duration::from_secs(4);

/// Days that one report run catches up with at most.
const DAYS: i64 = 31;

/// Does local work. Clones are the same replica.
#[derive(Clone)]
pub struct Worker {
    runs: Runs,
    log: Log,
    archive: Archive,
    counts: Option<Progress>,
    replica: Uuid,
}

/// A run whose work is ours.
#[derive(Clone, Debug)]
pub struct Claimed {
    run: Run,
    hold: Hold,
}

/// How a claimed run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is over.
    Ended,
    /// It is no longer ours: somebody took it over, or its time was over.
    Lost,
    /// The shutdown came first; another may take it.
    GivenBack,
}

/// Why work failed.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error("{0}")]
    Orders(String),
}

impl Worker {
    /// A replica. `counts` is the progress of the consumer that reports depend on.
    pub fn new(runs: Runs, log: Log, archive: Archive, counts: Option<Progress>) -> Self {
        Self {
            runs,
            log,
            archive,
            counts,
            replica: Uuid::now_v7(),
        }
    }

    /// Takes a run that nobody holds, if there is one.
    ///
    /// # Errors
    /// As the database says.
    pub async fn claim(&self) -> database::Result<Option<Claimed>> {
        let now = self.runs.now().await?;
        for job in self.runs.jobs().iter() {
            if job.definition.work != Work::Local {
                continue;
            }
            let Some(id) = holds::unheld(self.runs.db(), job.name(), now).await? else {
                continue;
            };
            let mut tx = self.runs.db().begin().await?;
            jobs::hold(&mut tx, job.name()).await?;
            let hold = holds::hold(&mut tx, id, self.replica, now, now + LEASE).await?;
            let run = runs::find_in(&mut tx, id).await?;
            tx.commit().await?;
            if let (Some(hold), Some(run)) = (hold, run) {
                return Ok(Some(Claimed { run, hold }));
            }
        }
        Ok(None)
    }

    /// Does the work of a claimed run and ends it.
    ///
    /// # Errors
    /// As the database says; the run is then still held, and taken over when the lease is over.
    pub async fn perform(
        &self,
        claimed: Claimed,
        shutdown: &Shutdown,
    ) -> database::Result<Outcome> {
        let Claimed { run, hold } = claimed;
        let Some(job) = self.runs.jobs().get(&run.job) else {
            return Ok(Outcome::Lost);
        };
        tracing::info!(job = run.job, run = %run.id, "working");
        let end = tokio::select! {
            end = self.work(job, &run) => end,
            () = self.keep(hold) => return Ok(Outcome::Lost),
            () = shutdown.cancelled() => {
                holds::renew(self.runs.db(), hold, None).await?;
                return Ok(Outcome::GivenBack);
            }
        };
        let ended = self.runs.finish(job, hold, &end).await?;
        Ok(if ended { Outcome::Ended } else { Outcome::Lost })
    }

    /// Renews the lease; returns when it is lost.
    async fn keep(&self, hold: Hold) {
        loop {
            tokio::time::sleep(RENEW).await;
            let renewed = async {
                let until = self.runs.now().await? + LEASE;
                holds::renew(self.runs.db(), hold, Some(until)).await
            };
            match renewed.await {
                Ok(true) => {}
                Ok(false) => return,
                // Nobody else can take it either while the database is away.
                Err(error) => tracing::warn!(%error, "cannot renew the lease of a run"),
            }
        }
    }

    async fn work(&self, job: &Job, run: &Run) -> End {
        let done = match job.name() {
            LOG_ARCHIVE => self.archive_log().await,
            LOG_SNAPSHOT => self.snapshot().await,
            DAILY_REPORT => self.report(run).await,
            other => Err(Failure::Orders(format!("{other} is no local work"))),
        };
        match done {
            Ok(detail) => End {
                status: RunStatus::Completed,
                detail,
                error: None,
            },
            Err(error) => {
                tracing::error!(job = run.job, run = %run.id, %error, "maintenance failed");
                End {
                    status: RunStatus::Failed,
                    detail: json!({}),
                    error: Some(error.to_string()),
                }
            }
        }
    }

    async fn archive_log(&self) -> Result<Value, Failure> {
        self.identify().await?;
        Ok(json!(self.archive.extend(&self.log).await?))
    }

    /// Makes sure that the folder is the one that all replicas archive to.
    async fn identify(&self) -> Result<(), Failure> {
        let known = archives::known(self.runs.db()).await?;
        let found = self.archive.identify(known).await?;
        if known.is_none() {
            // Another replica may have been first, with another folder.
            let known = archives::adopt(self.runs.db(), found).await?;
            self.archive.identify(known).await?;
        }
        Ok(())
    }

    async fn snapshot(&self) -> Result<Value, Failure> {
        self.identify().await?;
        let snapshot = self.archive.snapshot(&self.log).await?;
        Ok(json!({
            "position": snapshot.head,
            "segments": snapshot.segments.len(),
            "events": snapshot.counts.values().sum::<u64>(),
        }))
    }

    /// Reports on the day that the run is told, or on every day since the last report.
    async fn report(&self, run: &Run) -> Result<Value, Failure> {
        let today = domain::day_at(self.runs.now().await?);
        let told = run.parameters.0["day"].as_str();
        let days = match told {
            Some(text) => {
                let day = domain::day_of(text);
                let day = day.filter(|day| *day <= today);
                let fault = || Failure::Orders(format!("{text:?} is no day that has begun"));
                vec![day.ok_or_else(fault)?]
            }
            None => {
                self.unreported(run.scheduled_for.unwrap_or(run.created_at))
                    .await?
            }
        };
        // What the log has now is counted before it is reported; the run's timeout bounds the wait.
        let head = self.log.head().await?.position;
        if let Some(counts) = &self.counts {
            counts.caught_up_to(head).await;
        }
        let mut newest = Value::Null;
        for day in &days {
            let report = domain::report(*day, &counts::of_day(self.runs.db(), *day).await?);
            let now = self.runs.now().await?;
            counts::store_report(self.runs.db(), &report, now).await?;
            newest = json!(report);
        }
        Ok(json!({ "days": days.len(), "report": newest }))
    }

    /// The days up to yesterday that have no report; yesterday has one anew.
    async fn unreported(&self, at: Timestamp) -> Result<Vec<Day>, Failure> {
        let back = |days: i64| {
            let span = jiff::Span::new().days(days);
            domain::day_at(at)
                .checked_sub(span)
                .map_err(|error| Failure::Orders(error.to_string()))
        };
        let yesterday = back(1)?;
        let last = counts::last_reported(self.runs.db(), yesterday).await?;
        let first = match last.as_deref().and_then(domain::day_of) {
            Some(last) if last < yesterday => last.tomorrow().unwrap_or(yesterday).max(back(DAYS)?),
            _ => yesterday,
        };
        let days = first.series(jiff::Span::new().days(1));
        Ok(days.take_while(|day| *day <= yesterday).collect())
    }
}
