//! The `password_resets` table: at most one way to a new password for each user.

use database::{Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

use crate::domain::ResetToken;

/// Stores a token in the place of an older one.
///
/// # Errors
/// As the database says.
pub async fn put(tx: &mut Tx, user_id: Uuid, token: &ResetToken, now: Timestamp) -> Result<()> {
    let expires_at: Timestamp = ResetToken::expiry(now.into()).into();
    tx.execute(
        "INSERT INTO password_resets (user_id, token_hash, issued_at, expires_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash,
             issued_at = excluded.issued_at, expires_at = excluded.expires_at",
        params![user_id, token.hash(), now, expires_at],
    )
    .await?;
    Ok(())
}

/// Whose a good token is.
///
/// # Errors
/// As the database says.
pub async fn owner(tx: &mut Tx, token: &ResetToken, now: Timestamp) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = tx
        .fetch_optional(
            "SELECT user_id FROM password_resets WHERE token_hash = $1 AND expires_at > $2",
            params![token.hash(), now],
        )
        .await?;
    Ok(row.map(|(user_id,)| user_id))
}

/// Uses the token up; whether it was still there. The caller holds the user's lock.
///
/// # Errors
/// As the database says.
pub async fn take(tx: &mut Tx, user_id: Uuid, token: &ResetToken) -> Result<bool> {
    let taken = tx
        .execute(
            "DELETE FROM password_resets WHERE user_id = $1 AND token_hash = $2",
            params![user_id, token.hash()],
        )
        .await?;
    Ok(taken == 1)
}

/// Takes away whatever token there is: the password was changed otherwise.
///
/// # Errors
/// As the database says.
pub async fn revoke(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute(
        "DELETE FROM password_resets WHERE user_id = $1",
        params![user_id],
    )
    .await?;
    Ok(())
}

/// Removes expired tokens, a portion at a time; how many.
///
/// # Errors
/// As the database says.
pub async fn sweep(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        Sql::by_dialect(
            "DELETE FROM password_resets WHERE user_id IN (
                 SELECT user_id FROM password_resets WHERE expires_at < $1
                 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            "DELETE FROM password_resets WHERE user_id IN (
                 SELECT user_id FROM password_resets WHERE expires_at < $1
                 ORDER BY expires_at LIMIT $2)",
        ),
        params![now, limit],
    )
    .await
}
