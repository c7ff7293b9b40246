//! Named tasks under supervision: an essential one that ends early ends the process.

use std::{collections::HashMap, future::Future};

use tokio::task::{Id, JoinSet};
use tracing::Instrument;

use crate::{Shutdown, shutdown::DRAIN};

/// Runs a process's long-lived tasks. When one fails, panics or returns before the shutdown began,
/// the shutdown begins and [`Supervisor::join`] says which task and why.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, String>,
    shutdown: Shutdown,
}

impl Supervisor {
    /// Supervises until `shutdown` begins.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            shutdown,
        }
    }

    /// Starts a task that lives as long as the process; it ends itself when the shutdown begins.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        // Its log lines belong to the part that starts it.
        let handle = self.tasks.spawn(task.in_current_span());
        self.names.insert(handle.id(), name.into());
    }

    /// Waits until the shutdown has begun and every task has ended, at most the drain time after
    /// which the rest is aborted.
    ///
    /// # Errors
    /// The first task that failed or ended too early.
    pub async fn join(mut self) -> anyhow::Result<()> {
        let mut failure = None;
        let mut deadline = None;
        loop {
            let next = async {
                match deadline {
                    None => self.tasks.join_next_with_id().await,
                    Some(at) => tokio::time::timeout_at(at, self.tasks.join_next_with_id())
                        .await
                        .unwrap_or(None),
                }
            };
            let ended = tokio::select! {
                ended = next => ended,
                () = self.shutdown.cancelled(), if deadline.is_none() => {
                    deadline = Some(tokio::time::Instant::now() + DRAIN);
                    continue;
                }
            };
            let Some(ended) = ended else { break };
            let (id, result) = match ended {
                Ok((id, result)) => (id, result),
                Err(error) => (error.id(), Err(anyhow::anyhow!("panicked: {error}"))),
            };
            let name = self.names.remove(&id).unwrap_or_default();
            let result = match result {
                Ok(()) if !self.shutdown.is_cancelled() => Err(anyhow::anyhow!("ended early")),
                other => other,
            };
            if let Err(error) = result {
                tracing::error!(task = name, error = format!("{error:#}"), "task failed");
                self.shutdown.trigger();
                failure.get_or_insert_with(|| error.context(format!("task {name:?}")));
            }
        }
        for name in self.names.values() {
            tracing::warn!(task = name, "aborted after the drain time");
        }
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_task_ends_the_others_and_is_named() {
        let shutdown = Shutdown::new();
        let mut tasks = Supervisor::new(shutdown.clone());
        let waits = shutdown.clone();
        tasks.spawn("patient", async move {
            waits.cancelled().await;
            Ok(())
        });
        tasks.spawn("fragile", async { anyhow::bail!("broke") });
        let error = tasks.join().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "task \"fragile\": broke");
        assert!(shutdown.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_ends_before_the_shutdown_is_a_failure() {
        let mut tasks = Supervisor::new(Shutdown::new());
        tasks.spawn("short", async { Ok(()) });
        assert!(tasks.join().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_shutdown_is_aborted_after_the_drain_time() {
        let shutdown = Shutdown::new();
        let mut tasks = Supervisor::new(shutdown.clone());
        tasks.spawn("deaf", std::future::pending());
        shutdown.trigger();
        tasks.join().await.unwrap();
    }
}
