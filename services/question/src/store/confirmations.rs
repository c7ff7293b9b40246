//! Which version of each question the curators were told that players see.

use database::{Result, Tx, params};
use uuid::Uuid;

/// Notes that the question is shown with this version; whether that is news. What a replay of the
/// bank builds again is none.
///
/// # Errors
/// As the database says.
pub async fn note(tx: &mut Tx, id: Uuid, version: i64) -> Result<bool> {
    let noted = tx
        .execute(
            "INSERT INTO confirmations (question_id, version) VALUES ($1, $2)
             ON CONFLICT (question_id) DO UPDATE SET version = excluded.version
             WHERE confirmations.version < excluded.version",
            params![id, version],
        )
        .await?;
    Ok(noted == 1)
}
