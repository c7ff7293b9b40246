//! Who does a run's local work: a lease in the run's row, with a token that rises with every holder.

use database::{Database, Result, Timestamp, Tx, Value as Bound, params};
use uuid::Uuid;

/// The right to do a run's local work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The run.
    pub run_id: Uuid,
    /// Rises with every holder: who has an older one is no longer it.
    pub token: i64,
}

/// The run of a job that runs and that nobody holds.
///
/// # Errors
/// As the database says.
pub async fn unheld(db: &Database, job: &str, now: Timestamp) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = db
        .fetch_optional(
            "SELECT id FROM runs WHERE job = $1 AND status = 'running'
               AND (held_until IS NULL OR held_until < $2)",
            params![job, now],
        )
        .await?;
    Ok(row.map(|(id,)| id))
}

/// Takes the right to do a run's work, unless somebody has it.
///
/// # Errors
/// As the database says.
pub async fn hold(
    tx: &mut Tx,
    run_id: Uuid,
    holder: Uuid,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Hold>> {
    let token: Option<(i64,)> = tx
        .fetch_optional(
            "UPDATE runs SET holder = $2, token = token + 1, held_until = $4
             WHERE id = $1 AND status = 'running' AND (held_until IS NULL OR held_until < $3)
             RETURNING token",
            params![run_id, holder, now, until],
        )
        .await?;
    Ok(token.map(|(token,)| Hold { run_id, token }))
}

/// Keeps the right until `until`, or gives it back at once (none); whether it still was ours.
///
/// # Errors
/// As the database says.
pub async fn renew(db: &Database, hold: Hold, until: Option<Timestamp>) -> Result<bool> {
    let renewed = db
        .execute(
            "UPDATE runs SET held_until = $3 WHERE id = $1 AND token = $2 AND status = 'running'",
            params![hold.run_id, hold.token, Bound::Time(until)],
        )
        .await?;
    Ok(renewed == 1)
}
