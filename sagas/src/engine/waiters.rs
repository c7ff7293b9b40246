//! Whoever waits for a saga: registered before the commit, woken when it is decided, on whichever
//! replica that happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::Shutdown;
use dashmap::DashMap;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use super::{Engine, Inner};
use crate::{Error, Saga, store};

/// Raised where another replica may have decided a saga that is waited for here.
pub(super) const DECIDED_ELSEWHERE: &str = "sagas.decided_elsewhere";

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
    decision: Arc<Decision>,
    waiters: usize,
}

/// Whether this process knows that a saga is decided; what is known so is never taken back.
#[derive(Default)]
struct Decision {
    is_known: AtomicBool,
    became_known: Notify,
}

impl Decision {
    fn tell(&self) {
        self.is_known.store(true, Ordering::Release);
        self.became_known.notify_waiters();
    }

    /// Waits until it is known, or `deadline`.
    async fn known_by(&self, deadline: Instant) -> bool {
        // Listening before looking: a decision in between is not missed.
        let told = self.became_known.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        if !self.is_known.load(Ordering::Acquire) {
            // Out of time is no error: whoever waits is told where things stand.
            let _ = tokio::time::timeout_at(deadline, told).await;
        }
        self.is_known.load(Ordering::Acquire)
    }
}

/// A place in line for one saga's decision. Take it before the commit that starts the saga.
pub struct Waiter {
    engine: Engine,
    saga: Uuid,
    decision: Arc<Decision>,
}

impl Waiters {
    /// A saga is decided.
    pub(super) fn tell(&self, saga: Uuid) {
        if let Some(waiting) = self.by_saga.get(&saga) {
            waiting.decision.tell();
        }
    }
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
                decision: Arc::default(),
                waiters: 0,
            });
        waiting.waiters += 1;
        let decision = Arc::clone(&waiting.decision);
        drop(waiting);
        self.inner.waiters.began.notify_one();
        Waiter {
            engine: self.clone(),
            saga,
            decision,
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
        let deadline = Instant::now() + timeout;
        // It may have been decided before anybody waited for it here.
        let saga = self.engine.load(self.saga).await?;
        if saga.is_decided() {
            return Ok(saga);
        }
        self.decision.known_by(deadline).await;
        self.engine.load(self.saga).await
    }

    /// As [`Waiter::wait`] for a saga that was started after this place in line was taken, and without
    /// reading it: whether it is decided by then.
    pub async fn is_decided_within(self, timeout: Duration) -> bool {
        self.decision.known_by(Instant::now() + timeout).await
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

/// Wakes waiters for what other replicas decide, until the shutdown: by polling, and at once for what is
/// told. What this process decides, its commit tells.
pub(super) async fn follow(inner: &Inner, shutdown: &Shutdown) {
    let mut decided = inner.database.signal(DECIDED_ELSEWHERE);
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
            biased;
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
            .filter(|entry| !entry.decision.is_known.load(Ordering::Acquire))
            .map(|entry| *entry.key())
            .collect();
        for some in waited_for.chunks(BATCH) {
            for id in store::decided_of(&self.database, some.to_vec()).await? {
                self.waiters.tell(id);
            }
        }
        Ok(())
    }
}
