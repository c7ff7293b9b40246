//! The `attempts` table: who tried what how often, shared by all replicas.
//!
//! Bounded: a row is forgotten after its time, each new one takes some of those with it, and an
//! address that fails too often adds no more.

use database::{Result, Sql, Timestamp, Tx, params};

use crate::domain::Allowance;

/// Forgotten rows that each new one takes with it: more than one, so that they never pile up.
const SWEPT: i64 = 8;

/// What is known of somebody's attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Since the last success or pause without any.
    pub failures: i64,
    /// Nothing is looked at before.
    pub blocked_until: Option<Timestamp>,
    /// Whether this client address has opened this account lately.
    pub is_trusted: bool,
}

#[derive(database::Record)]
struct Row {
    failures: i64,
    counted_until: Timestamp,
    blocked_until: Option<Timestamp>,
    trusted_until: Option<Timestamp>,
}

impl Row {
    fn at(self, now: Timestamp) -> Attempts {
        Attempts {
            failures: if self.counted_until > now {
                self.failures
            } else {
                0
            },
            blocked_until: self.blocked_until.filter(|until| *until > now),
            is_trusted: self.trusted_until.is_some_and(|until| until > now),
        }
    }
}

/// What is known, without waiting for anybody.
///
/// # Errors
/// As the database says.
pub async fn read(tx: &mut Tx, subject: &[u8], now: Timestamp) -> Result<Option<Attempts>> {
    let row: Option<Row> = tx
        .fetch_optional(
            "SELECT failures, counted_until, blocked_until, trusted_until FROM attempts
             WHERE subject = $1",
            params![subject.to_vec()],
        )
        .await?;
    Ok(row.map(|row| row.at(now)))
}

/// What is known, locked until the transaction ends, so that of many at once each is counted.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, subject: &[u8], now: Timestamp) -> Result<Attempts> {
    sweep(tx, now, SWEPT).await?;
    let row: Row = tx
        .fetch_one(
            "INSERT INTO attempts (subject, failures, counted_until, expires_at)
             VALUES ($1, 0, $2, $2)
             ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject
             RETURNING failures, counted_until, blocked_until, trusted_until",
            params![subject.to_vec(), now],
        )
        .await?;
    Ok(row.at(now))
}

/// Counts one failure more than `known`, which is locked, and begins the pause that it costs.
///
/// # Errors
/// As the database says.
pub async fn count(
    tx: &mut Tx,
    subject: &[u8],
    known: Attempts,
    allowance: &Allowance,
    now: Timestamp,
) -> Result<()> {
    let failures = known.failures.saturating_add(1);
    let pause = allowance.pause_after(failures);
    let blocked_until = pause.map(|pause| now + pause);
    let counted_until = blocked_until.unwrap_or(now) + allowance.memory;
    tx.execute(
        "UPDATE attempts SET failures = $2, blocked_until = $3, counted_until = $4,
             expires_at = CASE WHEN trusted_until > $4 THEN trusted_until ELSE $4 END
         WHERE subject = $1",
        params![subject.to_vec(), failures, blocked_until, counted_until],
    )
    .await?;
    Ok(())
}

/// Forgets the failures: whoever was counted knew the secret.
///
/// # Errors
/// As the database says.
pub async fn trust(tx: &mut Tx, subject: &[u8], until: Timestamp, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO attempts (subject, failures, counted_until, trusted_until, expires_at)
         VALUES ($1, 0, $3, $2, $2)
         ON CONFLICT (subject) DO UPDATE SET
             failures = 0, counted_until = excluded.counted_until, blocked_until = NULL,
             trusted_until = excluded.trusted_until, expires_at = excluded.expires_at",
        params![subject.to_vec(), until, now],
    )
    .await?;
    Ok(())
}

/// Removes rows that are forgotten, a portion at a time; how many.
///
/// # Errors
/// As the database says.
pub async fn sweep(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        Sql::by_dialect(
            "DELETE FROM attempts WHERE subject IN (
                 SELECT subject FROM attempts WHERE expires_at < $1
                 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            "DELETE FROM attempts WHERE subject IN (
                 SELECT subject FROM attempts WHERE expires_at < $1
                 ORDER BY expires_at LIMIT $2)",
        ),
        params![now, limit],
    )
    .await
}
