//! Counting runs that ended here: once their end is seen in the database, since a transaction that
//! says so may still be rolled back.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use contracts::http::RunStatus;
use database::Result;
use uuid::Uuid;

use super::Runs;
use crate::store::runs;

/// A transaction is over after this, one way or the other.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends to be counted at most; beyond it the oldest are not, which only counters notice.
const MAX: usize = 1_000;

/// Runs whose end some transaction of this replica wrote.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<Vec<(Uuid, Instant)>>);

impl Endings {
    /// Some transaction says that the run ends.
    pub(super) fn expect(&self, id: Uuid) {
        self.with(|endings| {
            if endings.len() < MAX && !endings.iter().any(|(other, _)| *other == id) {
                endings.push((id, Instant::now()));
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<(Uuid, Instant)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Runs {
    /// Counts the runs whose end is seen.
    pub(super) async fn count_endings(&self) -> Result<()> {
        let expected = self.inner.endings.with(|endings| endings.clone());
        for (id, since) in expected {
            let run = runs::find(self.db(), id).await?;
            let Some(run) = run.filter(|run| run.is_over()) else {
                if since.elapsed() > PATIENCE {
                    self.counted(id);
                }
                continue;
            };
            let finished = run.finished_at.unwrap_or(run.created_at);
            let took = finished.since(run.started_at.unwrap_or(finished));
            let outcome = runs::status_name(run.status());
            self.inner.metrics.ended(&run.job, outcome, took);
            if run.status() == RunStatus::Completed {
                self.inner.metrics.succeeded(&run.job, finished);
            }
            self.counted(id);
        }
        Ok(())
    }

    /// Shows when each job last completed, whichever replica did it.
    pub(crate) async fn show_successes(&self) -> Result<()> {
        for job in self.jobs().iter() {
            let run = runs::newest(self.db(), job.name(), Some(RunStatus::Completed)).await?;
            if let Some(at) = run.and_then(|run| run.finished_at) {
                self.inner.metrics.succeeded(job.name(), at);
            }
        }
        Ok(())
    }

    fn counted(&self, id: Uuid) {
        self.inner
            .endings
            .with(|endings| endings.retain(|(other, _)| *other != id));
    }
}
