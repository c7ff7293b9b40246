//! Users whose accounts were deleted: what every service needs to keep them from coming back.
//!
//! `user.deleted` removes what a service holds of a user; but the user's access token is good for
//! some minutes more, an answer may be on its way through the log, and the monolith, which every
//! start imports from, may still know the user. So each service notes who left, in the transaction
//! that forgets them, and asks before it makes anything new for a user.
//!
//! Departures are kept for ever: none of these has an end that this service knows of (an import
//! comes whenever somebody starts the service), and one is an id and a time.

use std::collections::BTreeSet;

use chassis::Problem;
use database::{Database, Migrations, Result, Sql, Tx, params};
use uuid::Uuid;

/// The table that notes them.
pub fn migrations() -> Migrations {
    Migrations::new(
        "departed",
        sqlx::migrate!("../../migrations/departed/postgres"),
        sqlx::migrate!("../../migrations/departed/sqlite"),
    )
}

/// Notes that the user left.
///
/// # Errors
/// As the database says.
pub async fn note(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    let now = tx.now().await?;
    tx.execute(
        "INSERT INTO departed_users (user_id, departed_at) VALUES ($1, $2)
         ON CONFLICT (user_id) DO NOTHING",
        params![user_id, now],
    )
    .await
    .map(|_| ())
}

/// Whether the user left, as this transaction sees it.
///
/// # Errors
/// As the database says.
pub async fn has_left(tx: &mut Tx, user_id: Uuid) -> Result<bool> {
    let found: Option<(i64,)> = tx.fetch_optional(LEFT, params![user_id]).await?;
    Ok(found.is_some())
}

/// Who of `users` left, as this transaction sees it now: for whoever makes rows of many at once.
///
/// # Errors
/// As the database says.
pub async fn among(tx: &mut Tx, users: Vec<Uuid>) -> Result<BTreeSet<Uuid>> {
    const AMONG: Sql = Sql::by_dialect(
        "SELECT user_id FROM departed_users WHERE user_id = ANY($1)",
        "SELECT user_id FROM departed_users
         WHERE user_id IN (SELECT unhex(value) FROM json_each($1))",
    );
    let rows: Vec<(Uuid,)> = tx.fetch_all(AMONG, params![users]).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
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
