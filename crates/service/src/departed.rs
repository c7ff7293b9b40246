//! Users whose accounts were deleted: what every service needs to keep them from coming back.
//!
//! `user.deleted` removes what a service holds of a user; but the user's access token is good for
//! some minutes more, and an answer may be on its way through the log. So each service notes who
//! left, in the transaction that forgets them, and asks before it makes anything new for a user.

use chassis::Problem;
use database::{Database, Migrations, Result, Timestamp, Tx, params};
use time::Duration;
use uuid::Uuid;

/// How long a departure is remembered: well above the life of an access token (15 minutes), above a
/// night in which a consumer stood still, and above the time in which an operator has looked at a
/// parked event, which is handled only then.
const REMEMBERED: Duration = Duration::days(30);

/// The table that notes them.
pub fn migrations() -> Migrations {
    Migrations::new(
        "departed",
        sqlx::migrate!("../../migrations/departed/postgres"),
        sqlx::migrate!("../../migrations/departed/sqlite"),
    )
}

/// Notes that the user left, and forgets those who left long ago.
///
/// # Errors
/// As the database says.
pub async fn note(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    let now = tx.now().await?;
    let long_ago = Timestamp::from(time::OffsetDateTime::from(now) - REMEMBERED);
    tx.execute(
        "DELETE FROM departed_users WHERE departed_at < $1",
        params![long_ago],
    )
    .await?;
    tx.execute(
        "INSERT INTO departed_users (user_id, departed_at) VALUES ($1, $2)
         ON CONFLICT (user_id) DO NOTHING",
        params![user_id, now],
    )
    .await?;
    Ok(())
}

/// Whether the user left, as this transaction sees it.
///
/// # Errors
/// As the database says.
pub async fn has_left(tx: &mut Tx, user_id: Uuid) -> Result<bool> {
    let found: Option<(i64,)> = tx.fetch_optional(LEFT, params![user_id]).await?;
    Ok(found.is_some())
}

/// Whether the user left.
///
/// # Errors
/// As the database says.
pub async fn left(db: &Database, user_id: Uuid) -> Result<bool> {
    let found: Option<(i64,)> = db.fetch_optional(LEFT, params![user_id]).await?;
    Ok(found.is_some())
}

/// What a caller is told whose account was deleted while its token is still good.
pub fn refusal() -> Problem {
    Problem::unauthorized("account_deleted", "This account was deleted.")
}

const LEFT: &str = "SELECT CAST(1 AS BIGINT) FROM departed_users WHERE user_id = $1";
