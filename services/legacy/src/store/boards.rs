//! The `leaderboard` table. The order is [`Entry::rank`]'s: score down, then who reached it first,
//! then the smaller id.

use contracts::{QuizMode, http::LeaderboardEntry};
use database::{Database, Result, Timestamp, Tx, params};
use leaderboard::domain::{Entry, TOP};
use uuid::Uuid;

/// A player's line.
///
/// # Errors
/// As the database says.
pub async fn entry(tx: &mut Tx, mode: QuizMode, user_id: Uuid) -> Result<Option<Entry>> {
    let row: Option<(i64, Timestamp)> = tx
        .fetch_optional(
            "SELECT score, reached_at FROM leaderboard WHERE quiz_mode = $1 AND user_id = $2",
            params![mode.as_str(), user_id],
        )
        .await?;
    Ok(row.map(|(score, reached_at)| Entry {
        user_id,
        score,
        reached_at: reached_at.into(),
    }))
}

/// Stores a player's line; their place with it, from 1.
///
/// # Errors
/// As the database says.
pub async fn store(tx: &mut Tx, mode: QuizMode, entry: &Entry) -> Result<i64> {
    let reached_at = Timestamp::from(entry.reached_at);
    tx.execute(
        "INSERT INTO leaderboard (quiz_mode, user_id, score, reached_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (quiz_mode, user_id) DO UPDATE SET
             score = excluded.score, reached_at = excluded.reached_at",
        params![mode.as_str(), entry.user_id, entry.score, reached_at],
    )
    .await?;
    let (above,): (i64,) = tx
        .fetch_one(
            "SELECT COUNT(*) FROM leaderboard
             WHERE quiz_mode = $1
               AND (score > $2 OR (score = $2 AND (reached_at < $3
                    OR (reached_at = $3 AND user_id < $4))))",
            params![mode.as_str(), entry.score, reached_at, entry.user_id],
        )
        .await?;
    Ok(above + 1)
}

#[derive(sqlx::FromRow)]
struct Line {
    user_id: Uuid,
    display_name: String,
    score: i64,
    position: i64,
}

impl From<Line> for LeaderboardEntry {
    fn from(line: Line) -> Self {
        Self {
            position: line.position,
            user_id: line.user_id,
            display_name: line.display_name,
            score: line.score,
        }
    }
}

/// The best of a board.
///
/// # Errors
/// As the database says.
pub async fn top(db: &Database, mode: QuizMode) -> Result<Vec<LeaderboardEntry>> {
    let lines: Vec<Line> = db
        .fetch_all(
            "SELECT l.user_id, u.display_name, l.score,
                    ROW_NUMBER() OVER (ORDER BY l.score DESC, l.reached_at, l.user_id) AS position
             FROM leaderboard l JOIN users u ON u.id = l.user_id
             WHERE l.quiz_mode = $1
             ORDER BY l.score DESC, l.reached_at, l.user_id LIMIT $2",
            params![mode.as_str(), i64::try_from(TOP).unwrap_or(i64::MAX)],
        )
        .await?;
    Ok(lines.into_iter().map(Into::into).collect())
}

/// A player's own line with its place, if there is one.
///
/// # Errors
/// As the database says.
pub async fn line_of(
    db: &Database,
    mode: QuizMode,
    user_id: Uuid,
) -> Result<Option<LeaderboardEntry>> {
    let line: Option<Line> = db
        .fetch_optional(
            "SELECT own.user_id, u.display_name, own.score,
                    1 + (SELECT COUNT(*) FROM leaderboard l
                         WHERE l.quiz_mode = own.quiz_mode
                           AND (l.score > own.score OR (l.score = own.score
                                AND (l.reached_at < own.reached_at
                                     OR (l.reached_at = own.reached_at
                                         AND l.user_id < own.user_id))))) AS position
             FROM leaderboard own JOIN users u ON u.id = own.user_id
             WHERE own.quiz_mode = $1 AND own.user_id = $2",
            params![mode.as_str(), user_id],
        )
        .await?;
    Ok(line.map(Into::into))
}
