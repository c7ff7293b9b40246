//! The `bonuses` table: which badges were rewarded.

use database::{Result, Tx, params};
use uuid::Uuid;

/// Notes that a badge is rewarded; whether it was not before.
///
/// # Errors
/// As the database says.
pub async fn note(
    tx: &mut Tx,
    user_id: Uuid,
    answer_id: Uuid,
    badge_id: &str,
    points: i64,
) -> Result<bool> {
    let touched = tx
        .execute(
            "INSERT INTO bonuses (user_id, answer_id, badge_id, points) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, answer_id, badge_id) DO NOTHING",
            params![user_id, answer_id, badge_id, points],
        )
        .await?;
    Ok(touched > 0)
}

/// Forgets a player's.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute("DELETE FROM bonuses WHERE user_id = $1", params![user_id])
        .await
        .map(|_| ())
}
