//! The `refresh_tokens` table. A family is one login and the rotations that came of it.

use database::{Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

use auth::domain::{IssuedToken, RefreshToken};

/// Expired tokens that each new one takes with it: more than one, so that they never pile up.
const SWEPT: i64 = 8;

/// A stored token with whom and which login it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Whose it is.
    pub user_id: Uuid,
    /// The login it goes back to.
    pub family: Uuid,
    /// What decides whether it is good.
    pub token: IssuedToken,
}

/// Stores a new token.
///
/// # Errors
/// As the database says.
pub async fn insert(
    tx: &mut Tx,
    token: &RefreshToken,
    user_id: Uuid,
    family: Uuid,
    now: Timestamp,
) -> Result<()> {
    sweep(tx, now, SWEPT).await?;
    let expires_at: Timestamp = RefreshToken::expiry(now.into()).into();
    tx.execute(
        "INSERT INTO refresh_tokens (token_hash, user_id, family, issued_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        params![token.hash(), user_id, family, now, expires_at],
    )
    .await?;
    Ok(())
}

/// Whose a token is. The user is locked before the token, as everywhere.
///
/// # Errors
/// As the database says.
pub async fn owner(tx: &mut Tx, token: &RefreshToken) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = tx
        .fetch_optional(
            "SELECT user_id FROM refresh_tokens WHERE token_hash = $1",
            params![token.hash()],
        )
        .await?;
    Ok(row.map(|(user_id,)| user_id))
}

/// Finds a token and keeps others from using it until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, token: &RefreshToken) -> Result<Option<Held>> {
    let row: Option<(Uuid, Uuid, Timestamp, Option<Timestamp>)> = tx
        .fetch_optional(
            Sql::by_dialect(
                "SELECT user_id, family, expires_at, used_at FROM refresh_tokens
                 WHERE token_hash = $1 FOR UPDATE",
                "SELECT user_id, family, expires_at, used_at FROM refresh_tokens
                 WHERE token_hash = $1",
            ),
            params![token.hash()],
        )
        .await?;
    Ok(row.map(|(user_id, family, expires_at, used_at)| Held {
        user_id,
        family,
        token: IssuedToken {
            expires_at: expires_at.into(),
            used_at: used_at.map(Into::into),
        },
    }))
}

/// Notes that a token was exchanged.
///
/// # Errors
/// As the database says.
pub async fn mark_used(tx: &mut Tx, token: &RefreshToken, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE refresh_tokens SET used_at = $2 WHERE token_hash = $1",
        params![token.hash(), now],
    )
    .await?;
    Ok(())
}

/// Ends one login.
///
/// # Errors
/// As the database says.
pub async fn end_family(tx: &mut Tx, family: Uuid) -> Result<()> {
    tx.execute(
        "DELETE FROM refresh_tokens WHERE family = $1",
        params![family],
    )
    .await?;
    Ok(())
}

/// Ends all logins of a user.
///
/// # Errors
/// As the database says.
pub async fn end_all(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute(
        "DELETE FROM refresh_tokens WHERE user_id = $1",
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
    tx.execute(SWEEP, params![now, limit]).await
}

const SWEEP: Sql = Sql::by_dialect(
    "DELETE FROM refresh_tokens WHERE token_hash IN (
         SELECT token_hash FROM refresh_tokens WHERE expires_at < $1
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM refresh_tokens WHERE token_hash IN (
         SELECT token_hash FROM refresh_tokens WHERE expires_at < $1
         ORDER BY expires_at LIMIT $2)",
);
