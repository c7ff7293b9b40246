//! What goes when a user leaves: every row that is about the user, in whichever table.

use database::{Result, Timestamp, Tx, params};
use uuid::Uuid;

/// Each table with rows about users, those that others refer to last.
const ROWS: &[&str] = &[
    "DELETE FROM idempotency_keys WHERE user_id = $1",
    "DELETE FROM achievements WHERE user_id = $1",
    "DELETE FROM leaderboard WHERE user_id = $1",
    "DELETE FROM players WHERE user_id = $1",
    "DELETE FROM mode_stats WHERE user_id = $1",
    "DELETE FROM stats WHERE user_id = $1",
    "DELETE FROM answers WHERE user_id = $1",
    "DELETE FROM draws WHERE user_id = $1",
    "DELETE FROM refresh_tokens WHERE user_id = $1",
    "DELETE FROM users WHERE id = $1",
];

/// Removes the user; the id is kept, so that a token that is still good brings nobody back. The
/// caller holds the lock.
///
/// # Errors
/// As the database says.
pub async fn delete(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<()> {
    for sql in ROWS {
        tx.execute(*sql, params![id]).await?;
    }
    tx.execute(
        "INSERT INTO deleted_accounts (user_id, deleted_at) VALUES ($1, $2)
         ON CONFLICT (user_id) DO NOTHING",
        params![id, now],
    )
    .await?;
    Ok(())
}
