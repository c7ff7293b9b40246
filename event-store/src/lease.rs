//! One active at a time, with a fencing token: whoever lost its lease without knowing cannot
//! commit under it.

use std::time::Duration;

use database::{Database, Dialect, Error, Timestamp, Tx, Value, params};
use uuid::Uuid;

/// How long a holder that died keeps others out. What a lease guards here is idempotent, so it may
/// be short: two at once waste work and harm nothing.
const TERM: Duration = Duration::from_secs(2);

/// On SQLite nobody waits for the end of a term (see [`Lease::acquire`]), and each renewal is an
/// fsync of an otherwise idle process.
const TERM_SQLITE: Duration = Duration::from_secs(60);

/// How often somebody who has not got the lease looks whether it is free.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(500);

const RENEW: &str = "UPDATE leases SET expires_at = $4
                     WHERE name = $1 AND holder = $2 AND token = $3";

/// A lease held by this task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    name: &'static str,
    holder: Uuid,
    token: i64,
    term: Duration,
}

impl Lease {
    /// Takes the lease when it is free, expired, or already this holder's.
    ///
    /// `take_over` takes it from whoever has it. A SQLite file is served by one process, so at its
    /// start the holder is a dead predecessor, and waiting for it would only delay the restart;
    /// should it live after all, its token no longer counts.
    pub(crate) async fn acquire(
        database: &Database,
        name: &'static str,
        holder: Uuid,
        take_over: bool,
    ) -> Result<Option<Self>, Error> {
        let take_over = take_over && database.dialect() == Dialect::Sqlite;
        let term = match database.dialect() {
            Dialect::Postgres => TERM,
            Dialect::Sqlite => TERM_SQLITE,
        };
        let mut tx = database.begin().await?;
        let now = tx.now().await?;
        let values = params![name, holder, now + term, now];
        let sql = if take_over {
            "INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, $3)
             ON CONFLICT (name) DO UPDATE
             SET holder = $2, token = leases.token + 1, expires_at = $3
             WHERE leases.expires_at < $4 OR TRUE RETURNING token"
        } else {
            "INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, $3)
             ON CONFLICT (name) DO UPDATE
             SET holder = $2, token = leases.token + 1, expires_at = $3
             WHERE leases.expires_at < $4 OR leases.holder = $2 RETURNING token"
        };
        let token: Option<(i64,)> = tx.fetch_optional(sql, values).await?;
        tx.commit().await?;
        Ok(token.map(|(token,)| Self {
            name,
            holder,
            token,
            term,
        }))
    }

    /// How often an idle holder renews.
    pub(crate) fn renew_every(&self) -> Duration {
        self.term / 4
    }

    /// A transaction that commits under the lease, which it renews; none when the lease is no longer ours.
    pub(crate) async fn begin(&self, database: &Database) -> Result<Option<Tx>, Error> {
        let mut tx = database.begin().await?;
        let fence = self.fence(&mut tx).await?;
        Ok((fence == Fence::Held).then_some(tx))
    }

    /// Renews the lease inside `tx`, which must be rolled back when the lease is no longer ours.
    async fn fence(&self, tx: &mut Tx) -> Result<Fence, Error> {
        let until = tx.now().await? + self.term;
        let renewed = tx.execute(RENEW, self.until(until)).await?;
        Ok(Fence::of(renewed))
    }

    /// What the lease's row says for as long as it is held: name, holder and token.
    pub(crate) fn proof(&self) -> (&'static str, Uuid, i64) {
        (self.name, self.holder, self.token)
    }

    /// Renews the lease by itself.
    pub(crate) async fn renew(&self, database: &Database) -> Result<Fence, Error> {
        let until = database.now().await? + self.term;
        let renewed = database.execute(RENEW, self.until(until)).await?;
        Ok(Fence::of(renewed))
    }

    /// Gives the lease back, so that the next one need not wait.
    pub(crate) async fn release(&self, database: &Database) -> Result<(), Error> {
        let expired = Timestamp::from_micros(0);
        database.execute(RENEW, self.until(expired)).await?;
        Ok(())
    }

    fn until(&self, expires_at: Timestamp) -> Vec<Value> {
        params![self.name, self.holder, self.token, expires_at]
    }
}

/// Whether a lease is still ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Fence {
    /// Yes, and it was renewed.
    Held,
    /// Somebody else has it.
    Lost,
}

impl Fence {
    /// By how many rows were renewed.
    const fn of(renewed: u64) -> Self {
        if renewed == 1 { Self::Held } else { Self::Lost }
    }
}
