//! Whoever waits for a saga: registered before the commit, woken when it is decided, on whichever
//! replica that happens.

use std::{sync::Arc, time::Duration};

use chassis::Shutdown;
use dashmap::DashMap;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Engine, Inner, moves::DECIDED};
use crate::{Error, Saga, store};

/// How often this process looks whether another replica decided a saga that is waited for here.
const POLL: Duration = Duration::from_millis(100);

/// Sagas asked about in one statement.
const BATCH: usize = 500;

/// The sagas that are waited for in this process.
#[derive(Default)]
pub(super) struct Waiters {
    by_saga: DashMap<Uuid, Waiting>,
    /// Somebody began to wait.
    began: Notify,
}

struct Waiting {
    decided: Arc<Notify>,
    waiters: usize,
}

/// A place in line for one saga's decision. Take it before the commit that starts the saga.
pub struct Waiter {
    engine: Engine,
    saga: Uuid,
    decided: Arc<Notify>,
}

impl Engine {
    /// A place in line for the decision of a saga that may not be committed yet.
    pub fn waiter(&self, saga: Uuid) -> Waiter {
        let mut waiting = self
            .inner
            .waiters
            .by_saga
            .entry(saga)
            .or_insert_with(|| Waiting {
                decided: Arc::default(),
                waiters: 0,
            });
        waiting.waiters += 1;
        let decided = Arc::clone(&waiting.decided);
        drop(waiting);
        self.inner.waiters.began.notify_one();
        Waiter {
            engine: self.clone(),
            saga,
            decided,
        }
    }

    /// Waits until a saga has ended or its owner's data are rolled back, at most `timeout`; what
    /// is returned says where it stands then ([`Saga::is_decided`]). [`Engine::run`] must run.
    ///
    /// # Errors
    /// [`Error::NotFound`], or as the database says.
    pub async fn wait(&self, saga: Uuid, timeout: Duration) -> Result<Saga, Error> {
        self.waiter(saga).wait(timeout).await
    }
}

impl Waiter {
    /// As [`Engine::wait`].
    ///
    /// # Errors
    /// As [`Engine::wait`].
    pub async fn wait(self, timeout: Duration) -> Result<Saga, Error> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            // Listening before reading: a decision in between is not missed.
            let decided = self.decided.notified();
            tokio::pin!(decided);
            decided.as_mut().enable();
            let saga = self.engine.load(self.saga).await?;
            if saga.is_decided() || tokio::time::timeout_at(deadline, decided).await.is_err() {
                return if saga.is_decided() {
                    Ok(saga)
                } else {
                    self.engine.load(self.saga).await
                };
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waiters = &self.engine.inner.waiters.by_saga;
        if let Some(mut waiting) = waiters.get_mut(&self.saga) {
            waiting.waiters -= 1;
        }
        waiters.remove_if(&self.saga, |_, waiting| waiting.waiters == 0);
    }
}

/// Wakes waiters, until the shutdown: at once for what this process commits, by polling for what
/// other replicas do.
pub(super) async fn follow(inner: &Inner, shutdown: &Shutdown) {
    let mut decided = inner.database.signal(DECIDED);
    while !shutdown.is_cancelled() {
        decided.borrow_and_update();
        if let Err(error) = inner.wake_decided().await {
            tracing::warn!(%error, "waiters could not be told; they are told by the next look");
        }
        let next_look = async {
            if inner.waiters.by_saga.is_empty() {
                inner.waiters.began.notified().await;
            } else {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = decided.changed() => {}
            () = next_look => {}
        }
    }
}

impl Inner {
    async fn wake_decided(&self) -> Result<(), Error> {
        let waited_for: Vec<Uuid> = self
            .waiters
            .by_saga
            .iter()
            .map(|entry| *entry.key())
            .collect();
        for some in waited_for.chunks(BATCH) {
            for id in store::decided_of(&self.database, some.to_vec()).await? {
                if let Some(waiting) = self.waiters.by_saga.get(&id) {
                    waiting.decided.notify_waiters();
                }
            }
        }
        Ok(())
    }
}
