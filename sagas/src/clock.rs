//! Time, injected. In production it is the database's, so that replicas with skewed clocks agree.

use std::time::Duration;

use async_trait::async_trait;
use database::{Database, Error, Timestamp, Tx};
use tokio::sync::watch;

/// Where the engine reads the time and how it waits for an instant.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The time, asked outside a transaction.
    ///
    /// # Errors
    /// As the database says.
    async fn now(&self, database: &Database) -> Result<Timestamp, Error>;

    /// The time, asked within a transaction; it needs no second connection.
    ///
    /// # Errors
    /// As the database says.
    async fn now_within(&self, tx: &mut Tx) -> Result<Timestamp, Error>;

    /// Waits from `now`, as this clock told it, until `at`.
    async fn wait_until(&self, now: Timestamp, at: Timestamp);
}

/// The database's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatabaseClock;

#[async_trait]
impl Clock for DatabaseClock {
    async fn now(&self, database: &Database) -> Result<Timestamp, Error> {
        database.now().await
    }

    async fn now_within(&self, tx: &mut Tx) -> Result<Timestamp, Error> {
        tx.now().await
    }

    async fn wait_until(&self, now: Timestamp, at: Timestamp) {
        tokio::time::sleep(at.since(now)).await;
    }
}

/// A clock that stands still until a test moves it. Clones share it.
#[derive(Clone, Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// Stands at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(watch::Sender::new(at))
    }

    /// Moves on, and wakes whoever waits for an instant that has come.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = *now + by);
    }

    /// Moves to `at`, if that is later.
    pub fn advance_to(&self, at: Timestamp) {
        self.0.send_modify(|now| *now = (*now).max(at));
    }

    /// Where it stands.
    pub fn read(&self) -> Timestamp {
        *self.0.borrow()
    }
}

#[async_trait]
impl Clock for ManualClock {
    async fn now(&self, _database: &Database) -> Result<Timestamp, Error> {
        Ok(self.read())
    }

    async fn now_within(&self, _tx: &mut Tx) -> Result<Timestamp, Error> {
        Ok(self.read())
    }

    async fn wait_until(&self, _now: Timestamp, at: Timestamp) {
        let mut time = self.0.subscribe();
        // The sender is `self`, so it outlives this wait.
        let _ = time.wait_for(|now| *now >= at).await;
    }
}
