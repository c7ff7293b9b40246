//! The `jobs` table: the lock of a job, and up to when its due times are decided.

use database::{Database, Result, Timestamp, Tx, params};

/// Notes a job that is new; nothing was due before `now`.
///
/// # Errors
/// As the database says.
pub async fn ensure(tx: &mut Tx, name: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO jobs (name, decided_until) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        params![name, now],
    )
    .await?;
    Ok(())
}

/// Up to when due times are decided, by job.
///
/// # Errors
/// As the database says.
pub async fn decided(db: &Database) -> Result<Vec<(String, Timestamp)>> {
    db.fetch_all("SELECT name, decided_until FROM jobs", params![])
        .await
}

/// Keeps others from changing the job's runs until the transaction ends; up to when its due times
/// are decided.
///
/// # Errors
/// As the database says.
pub async fn hold(tx: &mut Tx, name: &str) -> Result<Timestamp> {
    let (decided,): (Timestamp,) = tx
        .fetch_one(
            "UPDATE jobs SET decided_until = decided_until WHERE name = $1
             RETURNING decided_until",
            params![name],
        )
        .await?;
    Ok(decided)
}

/// Notes that all due times up to `until` are decided.
///
/// # Errors
/// As the database says.
pub async fn decide(tx: &mut Tx, name: &str, until: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET decided_until = $2 WHERE name = $1",
        params![name, until],
    )
    .await?;
    Ok(())
}
