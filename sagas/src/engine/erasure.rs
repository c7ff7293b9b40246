//! What is taken out of sagas when their user is gone, and when they ended long ago.
//!
//! Invariants: only a saga that has ended is touched, since whoever moves one that runs needs what
//! it holds; a mark on one that runs is durable, so that whichever replica ends it, of whichever
//! version, it is erased afterwards.

use database::{Timestamp, Tx};
use uuid::Uuid;

use super::{Engine, Inner};
use crate::{Error, store};

/// Sagas erased in one transaction.
const BATCH: i64 = 256;

impl Engine {
    /// Erases what sagas hold of a user: those that have ended in this transaction, those that run
    /// as soon as they have ended ([`Engine::run`] must run). A saga is a user's when its data are
    /// an object with the user's id as `userId`.
    ///
    /// Ids, states and times stay. The user's sagas are locked until the transaction ends.
    ///
    /// # Errors
    /// As the database says.
    pub async fn erase(&self, tx: &mut Tx, user_id: Uuid) -> Result<(), Error> {
        let now = self.inner.clock.now_within(tx).await?;
        let ended = store::mark(tx, user_id, now).await?;
        Ok(store::erase(tx, ended).await?)
    }

    /// Removes sagas that completed or were compensated before `before`, with all that is told of
    /// them, `limit` at most; how many there were. Those that an operator gave up stay, since what
    /// they left is a person's to mend.
    ///
    /// # Errors
    /// As the database says.
    pub async fn prune(&self, tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
        Ok(store::prune(tx, before, limit).await?)
    }
}

impl Inner {
    /// Erases what was marked while it ran and has ended since.
    pub(super) async fn erase_ended(&self) -> Result<(), Error> {
        loop {
            let ids = store::marked_and_ended(&self.database, BATCH).await?;
            let is_last = i64::try_from(ids.len()).is_ok_and(|count| count < BATCH);
            if !ids.is_empty() {
                let mut tx = self.database.begin().await?;
                store::erase(&mut tx, ids).await?;
                tx.commit().await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }
}
