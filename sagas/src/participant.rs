//! The participant's side: a ledger of what sagas asked of it and how those sagas ended.
//!
//! Invariant: whatever is repeated, late or out of order, an ask has its effect at most once, a
//! revoked saga's effect does not stay, and an ask that comes after its revocation does nothing.
//! All of it happens in the handler's transaction, with the effect itself; the table is written before
//! that commits.

mod lines;
pub mod rule;

use std::collections::BTreeSet;

use database::{Database, Error, Json, Migrations, Timestamp, Tx, params};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use self::{
    lines::{DONE, REVOKED},
    rule::{Ending, OnAsk, OnComplete, OnRevoke, Settled},
};

/// The ledger's table.
pub fn migrations() -> Migrations {
    Migrations::new(
        "ledger",
        sqlx::migrate!("../migrations/ledger/postgres"),
        sqlx::migrate!("../migrations/ledger/sqlite"),
    )
}

/// The ledger of one participant's database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger;

/// What is to be done about an ask.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Ask {
    /// Do it, provisionally, and say so with [`Ledger::done`] or [`Ledger::refused`].
    Do,
    /// The saga completed without waiting for this: do it for good at once, and say so.
    DoForGood,
    /// It was done before; the effect that was kept. Answer as then.
    Done(Value),
    /// It was refused before, for this reason. Answer as then.
    Refused(Value),
    /// The saga took it back before it was done: do nothing.
    Revoked,
}

/// What is to be done about a revocation.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Revoke {
    /// Take back this effect, then confirm.
    Undo(Value),
    /// Nothing was done, and from now on nothing will be: confirm.
    Nothing,
    /// It was taken back before; the effect that was. Confirm again.
    Again(Value),
    /// The saga completed: what it did stays. A revocation after that is somebody's fault.
    Completed,
}

/// What is to be done about a completion.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Complete {
    /// Make this effect final.
    Settle(Value),
    /// Nothing was done here; should the ask still come, it is done for good.
    Nothing,
    /// It was final before.
    Again,
    /// The saga was revoked: nothing is left to make final. A completion after that is somebody's
    /// fault.
    Revoked,
}

impl Ledger {
    /// Creates the ledger's table in a participant's database.
    ///
    /// # Errors
    /// As the database says.
    pub async fn migrate(database: &Database) -> Result<(), Error> {
        database.migrate(migrations()).await
    }

    /// Reads what is known of these sagas at once, for an [`Ledger::ask`], [`Ledger::revoke`] or
    /// [`Ledger::complete`] of each that follows in the same transaction.
    ///
    /// # Errors
    /// As the database says.
    pub async fn look_up(
        self,
        tx: &mut Tx,
        sagas: BTreeSet<Uuid>,
        step: &str,
    ) -> Result<(), Error> {
        lines::open(tx, sagas, step).await
    }

    /// A saga asks for `step`.
    ///
    /// # Errors
    /// As the database says.
    pub async fn ask(self, tx: &mut Tx, saga: Uuid, step: &str) -> Result<Ask, Error> {
        let kept = lines::line(tx, saga, step).await?;
        let effect = kept.effect();
        Ok(match kept.line.ask() {
            OnAsk::Do => Ask::Do,
            OnAsk::DoForGood => Ask::DoForGood,
            OnAsk::Done => Ask::Done(effect),
            OnAsk::Refused => Ask::Refused(effect),
            OnAsk::Revoked => Ask::Revoked,
        })
    }

    /// The ask was done; `effect` is what undoing it and answering again need.
    ///
    /// # Errors
    /// As the database says.
    pub async fn done(
        self,
        tx: &mut Tx,
        saga: Uuid,
        step: &str,
        effect: &(impl Serialize + Sync),
    ) -> Result<(), Error> {
        self.settle(tx, saga, step, Settled::Done, effect).await
    }

    /// The ask was refused, and nothing was done.
    ///
    /// # Errors
    /// As the database says.
    pub async fn refused(
        self,
        tx: &mut Tx,
        saga: Uuid,
        step: &str,
        reason: &(impl Serialize + Sync),
    ) -> Result<(), Error> {
        self.settle(tx, saga, step, Settled::Refused, reason).await
    }

    /// The saga takes `step` back.
    ///
    /// # Errors
    /// As the database says.
    pub async fn revoke(self, tx: &mut Tx, saga: Uuid, step: &str) -> Result<Revoke, Error> {
        let kept = lines::line(tx, saga, step).await?;
        let (before, effect) = (kept.line, kept.effect());
        kept.end(Ending::Revoked);
        Ok(match before.revoke() {
            OnRevoke::Undo => Revoke::Undo(effect),
            OnRevoke::Nothing => Revoke::Nothing,
            OnRevoke::Again => Revoke::Again(effect),
            OnRevoke::Completed => Revoke::Completed,
        })
    }

    /// The saga completed.
    ///
    /// # Errors
    /// As the database says.
    pub async fn complete(self, tx: &mut Tx, saga: Uuid, step: &str) -> Result<Complete, Error> {
        let kept = lines::line(tx, saga, step).await?;
        let (before, effect) = (kept.line, kept.effect());
        kept.end(Ending::Completed);
        Ok(match before.complete() {
            OnComplete::Settle => Complete::Settle(effect),
            OnComplete::Nothing => Complete::Nothing,
            OnComplete::Again => Complete::Again,
            OnComplete::Revoked => Complete::Revoked,
        })
    }

    /// Replaces what asks of a user did by `effect`, which names nobody: for a user who is gone, and of
    /// whom nothing is left here to undo or to make final. An effect is a user's when it is an
    /// object with the user's id as `userId`.
    ///
    /// # Errors
    /// As the database says.
    pub async fn erase(
        self,
        tx: &mut Tx,
        step: &str,
        user_id: Uuid,
        effect: &(impl Serialize + Sync),
    ) -> Result<(), Error> {
        tx.write_deferred().await?;
        tx.execute(
            "UPDATE saga_ledger SET effect = $3 WHERE effect ->> 'userId' = $2 AND step = $1",
            params![step, user_id.to_string(), encoded(effect)?],
        )
        .await?;
        Ok(())
    }

    /// Removes what is known of sagas that ended here before `before`, `limit` rows at most; how many
    /// there were. What an audit may no longer expect is remembered.
    ///
    /// It is safe as soon as `before` is older than the oldest backup of the log that would ever be
    /// restored. A row keeps an ask from being done twice and an undone one from being done at all;
    /// an ask that was done or refused here has moved the checkpoint in the same transaction and
    /// does not come again. One that was never done may still be parked, so its row stays. A
    /// revocation that an operator repeats finds nothing to undo, which is so, and confirms.
    ///
    /// # Errors
    /// As the database says.
    pub async fn prune(
        self,
        tx: &mut Tx,
        step: &str,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, Error> {
        tx.write_deferred().await?;
        let pruned = tx
            .execute(
                "DELETE FROM saga_ledger WHERE step = $1 AND saga_id IN (
                     SELECT saga_id FROM saga_ledger
                     WHERE step = $1 AND ending IS NOT NULL AND updated_at < $2
                       AND outcome IS NOT NULL
                     ORDER BY updated_at LIMIT $3)",
                params![step, before, limit],
            )
            .await?;
        if pruned > 0 {
            tx.execute(
                "INSERT INTO saga_ledger_pruned (step, ended_before) VALUES ($1, $2)
                 ON CONFLICT (step) DO UPDATE SET ended_before = excluded.ended_before
                 WHERE saga_ledger_pruned.ended_before < excluded.ended_before",
                params![step, before],
            )
            .await?;
        }
        Ok(pruned)
    }

    /// Up to when rows of ended sagas may have been removed; none were when there is no such time.
    ///
    /// # Errors
    /// As the database says.
    pub async fn pruned_before(
        self,
        database: &Database,
        step: &str,
    ) -> Result<Option<Timestamp>, Error> {
        let row: Option<(Timestamp,)> = database
            .fetch_optional(
                "SELECT ended_before FROM saga_ledger_pruned WHERE step = $1",
                params![step],
            )
            .await?;
        Ok(row.map(|(at,)| at))
    }

    /// The effect of a step that was done and not taken back; for what comes after the saga.
    ///
    /// # Errors
    /// As the database says.
    pub async fn kept(self, tx: &mut Tx, saga: Uuid, step: &str) -> Result<Option<Value>, Error> {
        if let Some(kept) = lines::known(tx, saga, step) {
            let is_kept = kept.line.settled == Some(Settled::Done)
                && kept.line.ending != Some(Ending::Revoked);
            return Ok(kept.effect.clone().filter(|_| is_kept));
        }
        let row: Option<(Option<Json<Value>>,)> = tx
            .fetch_optional(
                "SELECT effect FROM saga_ledger WHERE saga_id = $1 AND step = $2
                   AND outcome = $3 AND (ending IS NULL OR ending <> $4)",
                params![saga, step, DONE, REVOKED],
            )
            .await?;
        Ok(row.and_then(|(effect,)| effect).map(|Json(effect)| effect))
    }

    async fn settle(
        self,
        tx: &mut Tx,
        saga: Uuid,
        step: &str,
        settled: Settled,
        effect: &(impl Serialize + Sync),
    ) -> Result<(), Error> {
        let effect = encoded(effect)?;
        lines::line(tx, saga, step).await?.settle(settled, effect);
        Ok(())
    }
}

fn encoded(effect: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(effect).map_err(|error| Error::Query(error.into()))
}

/// Reads an effect that the ledger kept.
///
/// # Errors
/// When it does not have `T`'s shape.
pub fn effect<T: DeserializeOwned>(kept: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(kept)
}
