//! All SQL of the achievement service.
//!
//! Invariants: whoever changes what is known of a player holds the player's row first; only the answers'
//! consumer and the import do. What answers do waits in [`players`] until the commit, and whoever goes to
//! the tables past it writes that before.

pub mod players;

use std::collections::HashMap;

use database::{Database, Json, Migrations, Result, Timestamp, Tx, params};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::Player;

/// A badge that is final.
#[derive(Clone, Debug, PartialEq, Eq, database::Record)]
pub struct Unlocked {
    /// Which one.
    pub badge_id: String,
    /// When it became final.
    pub unlocked_at: Timestamp,
}

/// A player as the audit sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The player.
    pub user_id: Uuid,
    /// All answers that the rules know of, imported ones included.
    pub answered: i64,
    /// Those given here.
    pub answers: i64,
    /// The badges held, provisional ones included.
    pub badges: Vec<String>,
}

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "achievement",
        sqlx::migrate!("../../migrations/achievement/postgres"),
        sqlx::migrate!("../../migrations/achievement/sqlite"),
    )
}

/// Sets the player's counters back to nothing as of `at`; badges stay. What the monolith knew of the
/// player before `at` is not imported any more.
///
/// # Errors
/// As the database says.
pub async fn reset(tx: &mut Tx, user_id: Uuid, at: Timestamp) -> Result<()> {
    tx.write_deferred().await?;
    tx.execute(
        "INSERT INTO players (user_id, state, base_at, answers) VALUES ($1, $2, $3, 0)
         ON CONFLICT (user_id) DO UPDATE SET
             state = excluded.state, base_at = excluded.base_at, answers = 0",
        params![user_id, json(&Player::default())?, at],
    )
    .await
    .map(|_| ())
}

/// The player's final badges, oldest first.
///
/// # Errors
/// As the database says.
pub async fn unlocked(db: &Database, user_id: Uuid) -> Result<Vec<Unlocked>> {
    db.fetch_all(
        "SELECT badge_id, unlocked_at FROM badges
         WHERE user_id = $1 AND status = 'unlocked' ORDER BY unlocked_at, badge_id",
        params![user_id],
    )
    .await
}

/// Forgets a player.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.write_deferred().await?;
    // Where there is no row, one is made, so that an import that is writing it just now is waited for.
    tx.execute(
        "INSERT INTO players (user_id, state, answers) VALUES ($1, $2, 0)
         ON CONFLICT (user_id) DO UPDATE SET answers = players.answers",
        params![user_id, json(&Player::default())?],
    )
    .await?;
    tx.execute("DELETE FROM badges WHERE user_id = $1", params![user_id])
        .await?;
    tx.execute("DELETE FROM players WHERE user_id = $1", params![user_id])
        .await
        .map(|_| ())
}

/// Forgets badges and players of users who left, `limit` of each at most: what an import wrote while
/// they left; how many rows of the kind of which there were more.
///
/// # Errors
/// As the database says.
pub async fn expel(tx: &mut Tx, limit: i64) -> Result<u64> {
    tx.write_deferred().await?;
    let badges = tx
        .execute(
            "DELETE FROM badges WHERE (user_id, badge_id) IN (
                 SELECT b.user_id, b.badge_id FROM badges b
                 JOIN departed_users d ON d.user_id = b.user_id LIMIT $1)",
            params![limit],
        )
        .await?;
    let players = tx
        .execute(
            "DELETE FROM players WHERE user_id IN (
                 SELECT p.user_id FROM players p
                 JOIN departed_users d ON d.user_id = p.user_id LIMIT $1)",
            params![limit],
        )
        .await?;
    Ok(badges.max(players))
}

/// Takes over what the monolith knows of a player as of `at`; whether it was news. A player who
/// has answered here is known better here.
///
/// # Errors
/// As the database says.
pub async fn import_player(
    tx: &mut Tx,
    user_id: Uuid,
    state: &Player,
    at: Timestamp,
) -> Result<bool> {
    let touched = tx
        .execute(
            "INSERT INTO players (user_id, state, base_at, answers) VALUES ($1, $2, $3, 0)
             ON CONFLICT (user_id) DO UPDATE SET state = excluded.state, base_at = excluded.base_at
             WHERE players.answers = 0
               AND (players.base_at IS NULL OR players.base_at < excluded.base_at)",
            params![user_id, json(state)?, at],
        )
        .await?;
    Ok(touched > 0)
}

/// Takes over a badge that the monolith gave; whether it was news.
///
/// # Errors
/// As the database says.
pub async fn import_badge(
    tx: &mut Tx,
    user_id: Uuid,
    badge_id: &str,
    at: Timestamp,
) -> Result<bool> {
    let touched = tx
        .execute(
            "INSERT INTO badges (user_id, badge_id, status, earned_at, unlocked_at)
             VALUES ($1, $2, 'unlocked', $3, $3) ON CONFLICT (user_id, badge_id) DO NOTHING",
            params![user_id, badge_id, at],
        )
        .await?;
    Ok(touched > 0)
}

/// A page of players in the order of their ids, each with the badges held: for the audit.
///
/// # Errors
/// As the database says.
pub async fn page(db: &Database, after: Uuid, limit: i64) -> Result<Vec<Audited>> {
    let players: Vec<(Uuid, Json<Value>, i64)> = db
        .fetch_all(
            "SELECT user_id, state, answers FROM players WHERE user_id > $1
             ORDER BY user_id LIMIT $2",
            params![after, limit],
        )
        .await?;
    let Some((last, ..)) = players.last() else {
        return Ok(Vec::new());
    };
    let badges: Vec<(Uuid, String)> = db
        .fetch_all(
            "SELECT user_id, badge_id FROM badges WHERE user_id > $1 AND user_id <= $2
             ORDER BY user_id, badge_id",
            params![after, *last],
        )
        .await?;
    let mut held: HashMap<Uuid, Vec<String>> = HashMap::new();
    for (user_id, badge_id) in badges {
        held.entry(user_id).or_default().push(badge_id);
    }
    let audited = |(user_id, state, answers): (Uuid, Json<Value>, i64)| Audited {
        user_id,
        answered: state
            .get("answered")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        answers,
        badges: held.remove(&user_id).unwrap_or_default(),
    };
    Ok(players.into_iter().map(audited).collect())
}

fn json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| database::Error::Query(Box::new(error)))
}
