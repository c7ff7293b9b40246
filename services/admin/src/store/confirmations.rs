//! Which version of a question players see, as far as the question service has confirmed it.

use database::{Database, Result, Tx, params};
use uuid::Uuid;

/// The signal that a commit with a confirmation raises; whoever waits for one looks again.
pub const SIGNAL: &str = "confirmations";

/// Notes a confirmation; one that comes late changes nothing.
///
/// # Errors
/// As the database says.
pub async fn note(tx: &mut Tx, question_id: Uuid, version: i64) -> Result<()> {
    tx.execute(
        "UPDATE questions SET applied_version = $2 WHERE id = $1 AND applied_version < $2",
        params![question_id, version],
    )
    .await?;
    tx.signal(SIGNAL);
    Ok(())
}

/// Whether players see at least this version.
///
/// # Errors
/// As the database says.
pub async fn is_applied(db: &Database, question_id: Uuid, version: i64) -> Result<bool> {
    let row: Option<(i64,)> = db
        .fetch_optional(
            "SELECT applied_version FROM questions WHERE id = $1",
            params![question_id],
        )
        .await?;
    Ok(row.is_some_and(|(applied,)| applied >= version))
}
