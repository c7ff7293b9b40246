//! All SQL of the leaderboard service.
//!
//! Invariant: the order of a board is `score DESC, reached_at, user_id`, the order of
//! [`Entry::rank`]; an entry's score is what was imported plus what was earned here.

use contracts::{QuizMode, http::LeaderboardEntry};
use database::{Database, Migrations, Result, Timestamp, Tx, params};
use uuid::Uuid;

use crate::domain::{Entry, TOP};

/// Who named a player; the later ones outrank the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The monolith's database.
    Import,
    /// The token that came with an answer; it may be older than the account's last change.
    Answer,
    /// An event of the account itself.
    Account,
}

/// A stored line, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Line {
    /// The player.
    pub user_id: Uuid,
    /// The board.
    pub quiz_mode: String,
    /// What was imported.
    pub base: i64,
    /// What was earned here, provisional points included.
    pub points: i64,
    /// Both together.
    pub score: i64,
}

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "leaderboard",
        sqlx::migrate!("../../migrations/leaderboard/postgres"),
        sqlx::migrate!("../../migrations/leaderboard/sqlite"),
    )
}

/// The player's entry on a board, held until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, user_id: Uuid, quiz_mode: QuizMode) -> Result<Option<Entry>> {
    let row: Option<(i64, Timestamp)> = tx
        .fetch_optional(
            "UPDATE entries SET points = points WHERE user_id = $1 AND quiz_mode = $2
             RETURNING score, reached_at",
            params![user_id, quiz_mode.as_str()],
        )
        .await?;
    Ok(row.map(|(score, at)| Entry {
        user_id,
        score,
        reached_at: at.into(),
    }))
}

/// Stores an entry with another score: what changed, was earned or taken back here.
///
/// # Errors
/// As the database says.
pub async fn save(tx: &mut Tx, quiz_mode: QuizMode, entry: &Entry) -> Result<()> {
    tx.execute(
        "INSERT INTO entries (user_id, quiz_mode, base, points, score, reached_at)
         VALUES ($1, $2, 0, $3, $3, $4)
         ON CONFLICT (user_id, quiz_mode) DO UPDATE SET
             points = excluded.score - entries.base, score = excluded.score,
             reached_at = excluded.reached_at",
        params![
            entry.user_id,
            quiz_mode.as_str(),
            entry.score,
            Timestamp::from(entry.reached_at)
        ],
    )
    .await
    .map(|_| ())
}

/// Takes an entry off its board, and forgets the name of a player who stands on none any more and
/// whom only an answer had named.
///
/// # Errors
/// As the database says.
pub async fn remove(tx: &mut Tx, user_id: Uuid, quiz_mode: QuizMode) -> Result<()> {
    tx.execute(
        "DELETE FROM entries WHERE user_id = $1 AND quiz_mode = $2",
        params![user_id, quiz_mode.as_str()],
    )
    .await?;
    tx.execute(
        "DELETE FROM players WHERE user_id = $1 AND source = 'answer'
           AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.user_id = players.user_id)",
        params![user_id],
    )
    .await
    .map(|_| ())
}

/// Notes a player's name; one from a better source stays.
///
/// # Errors
/// As the database says.
pub async fn name(tx: &mut Tx, user_id: Uuid, display_name: &str, source: Source) -> Result<()> {
    let values = params![user_id, display_name, source.as_str()];
    let sql = match source {
        Source::Account => {
            "INSERT INTO players (user_id, display_name, source) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET
                 display_name = excluded.display_name, source = excluded.source"
        }
        Source::Answer => {
            "INSERT INTO players (user_id, display_name, source) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET
                 display_name = excluded.display_name, source = excluded.source
             WHERE players.source <> 'account'"
        }
        Source::Import => {
            "INSERT INTO players (user_id, display_name, source) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET display_name = excluded.display_name
             WHERE players.source = 'import'"
        }
    };
    tx.execute(sql, values).await.map(|_| ())
}

/// The entry's place on its board, from 1.
///
/// # Errors
/// As the database says.
pub async fn position(tx: &mut Tx, quiz_mode: QuizMode, entry: &Entry) -> Result<i64> {
    let (above,): (i64,) = tx
        .fetch_one(
            "SELECT COUNT(*) FROM entries WHERE quiz_mode = $1
               AND (score > $2 OR (score = $2 AND (reached_at, user_id) < ($3, $4)))",
            params![
                quiz_mode.as_str(),
                entry.score,
                Timestamp::from(entry.reached_at),
                entry.user_id
            ],
        )
        .await?;
    Ok(above + 1)
}

/// The best of a board.
///
/// # Errors
/// As the database says.
pub async fn top(db: &Database, quiz_mode: QuizMode) -> Result<Vec<LeaderboardEntry>> {
    let rows: Vec<(Uuid, String, i64)> = db
        .fetch_all(
            "SELECT e.user_id, COALESCE(p.display_name, ''), e.score FROM entries e
             LEFT JOIN players p ON p.user_id = e.user_id
             WHERE e.quiz_mode = $1 ORDER BY e.score DESC, e.reached_at, e.user_id LIMIT $2",
            params![quiz_mode.as_str(), i64::try_from(TOP).unwrap_or(i64::MAX)],
        )
        .await?;
    let line = |(position, (user_id, display_name, score))| LeaderboardEntry {
        position,
        user_id,
        display_name,
        score,
    };
    Ok((1..).zip(rows).map(line).collect())
}

/// One player's line of a board, if there is one.
///
/// # Errors
/// As the database says.
pub async fn line(
    db: &Database,
    quiz_mode: QuizMode,
    user_id: Uuid,
) -> Result<Option<LeaderboardEntry>> {
    // One statement, so that place and score are of one moment.
    let row: Option<(String, i64, i64)> = db
        .fetch_optional(
            "SELECT COALESCE(p.display_name, ''), e.score,
                    (SELECT COUNT(*) FROM entries o WHERE o.quiz_mode = e.quiz_mode
                       AND (o.score > e.score OR (o.score = e.score
                            AND (o.reached_at, o.user_id) < (e.reached_at, e.user_id))))
             FROM entries e LEFT JOIN players p ON p.user_id = e.user_id
             WHERE e.quiz_mode = $1 AND e.user_id = $2",
            params![quiz_mode.as_str(), user_id],
        )
        .await?;
    Ok(row.map(|(display_name, score, above)| LeaderboardEntry {
        position: above + 1,
        user_id,
        display_name,
        score,
    }))
}

/// Forgets a player.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute("DELETE FROM entries WHERE user_id = $1", params![user_id])
        .await?;
    tx.execute("DELETE FROM players WHERE user_id = $1", params![user_id])
        .await
        .map(|_| ())
}

/// Takes over a score of the monolith's as of `at`, which is when it was reached; whether it was
/// news. What was earned here stays on top of it.
///
/// # Errors
/// As the database says.
pub async fn import(tx: &mut Tx, quiz_mode: QuizMode, entry: &Entry) -> Result<bool> {
    let touched = tx
        .execute(
            "INSERT INTO entries (user_id, quiz_mode, base, base_at, points, score, reached_at)
             VALUES ($1, $2, $3, $4, 0, $3, $4)
             ON CONFLICT (user_id, quiz_mode) DO UPDATE SET
                 base = excluded.base, base_at = excluded.base_at,
                 score = excluded.base + entries.points,
                 reached_at = CASE WHEN entries.points = 0 THEN excluded.reached_at
                                   ELSE entries.reached_at END
             WHERE entries.base_at IS NULL OR entries.base_at < excluded.base_at",
            params![
                entry.user_id,
                quiz_mode.as_str(),
                entry.score,
                Timestamp::from(entry.reached_at)
            ],
        )
        .await?;
    Ok(touched > 0)
}

/// A page of lines in the order of (user, board), for the audit.
///
/// # Errors
/// As the database says.
pub async fn page(db: &Database, after: (Uuid, &str), limit: i64) -> Result<Vec<Line>> {
    db.fetch_all(
        "SELECT user_id, quiz_mode, base, points, score FROM entries
         WHERE (user_id, quiz_mode) > ($1, $2) ORDER BY user_id, quiz_mode LIMIT $3",
        params![after.0, after.1, limit],
    )
    .await
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Answer => "answer",
            Self::Account => "account",
        }
    }
}
