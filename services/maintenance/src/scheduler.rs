//! One replica's part in the jobs: looks at the clock, and works on what it gets hold of.

use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    runs::{Runs, SIGNAL},
    work::Worker,
};

/// Between two looks: a due time may be noticed this late.
const LOOK: Duration = Duration::from_millis(500);

/// Between two looks while the database is away.
const LOOK_IN_TROUBLE: Duration = Duration::from_secs(5);

/// Between two prunings of the history.
const FORGET: Duration = Duration::from_secs(10 * 60);

/// Looks and works until the shutdown.
///
/// # Errors
/// Never; the type is that of a supervised task.
pub(crate) async fn run(
    runs: Runs,
    worker: Worker,
    kept: Duration,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut changed = runs.db().signal(SIGNAL);
    let mut working = JoinSet::new();
    let mut forgotten: Option<Instant> = None;
    if let Err(error) = runs.show_successes().await {
        tracing::warn!(%error, "cannot tell when jobs last completed");
    }
    while !shutdown.is_cancelled() {
        changed.borrow_and_update();
        let pause = match look(&runs, &worker, &mut working, &shutdown).await {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::warn!(%error, "cannot look after the jobs now");
                LOOK_IN_TROUBLE
            }
        };
        if forgotten.is_none_or(|at| at.elapsed() > FORGET) {
            forgotten = Some(Instant::now());
            if let Err(error) = runs.forget(kept).await {
                tracing::warn!(%error, "cannot prune the history now");
            }
        }
        tokio::select! {
            slept = shutdown.sleep(pause) => if slept == Slept::ShutDown { break },
            // Wakes for what this process changed; a change of another waits for the next look.
            _ = changed.changed(), if pause == LOOK => {}
        }
    }
    // Each gives its run back by itself.
    while working.join_next().await.is_some() {}
    Ok(())
}

async fn look(
    runs: &Runs,
    worker: &Worker,
    working: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> database::Result<()> {
    runs.look().await?;
    while working.try_join_next().is_some() {}
    while let Some(claimed) = worker.claim().await? {
        let (worker, shutdown) = (worker.clone(), shutdown.clone());
        working.spawn(async move {
            if let Err(error) = worker.perform(claimed, &shutdown).await {
                tracing::warn!(%error, "a run could not be ended here; it will be taken over");
            }
        });
    }
    Ok(())
}
