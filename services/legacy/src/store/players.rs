//! What is counted for a player: `stats`, `mode_stats`, `players`, `achievements`.

use achievement::domain::Player;
use contracts::QuizMode;
use database::{Database, Json, Result, Timestamp, Tx, params};
use quiz::domain::{ModeStats, Stats};
use uuid::Uuid;

use super::{json, named};

/// Totals and modes in one statement, so that they are of one moment.
const STATS: &str = "SELECT s.answered, s.correct, s.streak, s.best_streak,
                            m.quiz_mode, m.answered AS mode_answered, m.correct AS mode_correct,
                            m.score AS mode_score
                     FROM stats s LEFT JOIN mode_stats m ON m.user_id = s.user_id
                     WHERE s.user_id = $1";

#[derive(database::Record)]
struct StatsRow {
    answered: i64,
    correct: i64,
    streak: i64,
    best_streak: i64,
    quiz_mode: Option<String>,
    mode_answered: Option<i64>,
    mode_correct: Option<i64>,
    mode_score: Option<i64>,
}

/// A badge that a player has.
#[derive(Clone, Debug, database::Record)]
pub struct Unlocked {
    /// Which.
    pub badge_id: String,
    /// Since when.
    pub unlocked_at: Timestamp,
}

/// A player's stats, all zero for whoever never played.
///
/// # Errors
/// As the database says.
pub async fn stats(db: &Database, user_id: Uuid) -> Result<Stats> {
    combined(&db.fetch_all::<StatsRow>(STATS, params![user_id]).await?)
}

/// The same, inside a transaction that is about to change them.
///
/// # Errors
/// As the database says.
pub async fn stats_in(tx: &mut Tx, user_id: Uuid) -> Result<Stats> {
    combined(&tx.fetch_all::<StatsRow>(STATS, params![user_id]).await?)
}

fn combined(rows: &[StatsRow]) -> Result<Stats> {
    let mut stats = Stats::default();
    for row in rows {
        stats.answered = row.answered;
        stats.correct = row.correct;
        stats.streak = row.streak;
        stats.best_streak = row.best_streak;
        let Some(name) = &row.quiz_mode else { continue };
        let counts = ModeStats {
            answered: row.mode_answered.unwrap_or_default(),
            correct: row.mode_correct.unwrap_or_default(),
            score: row.mode_score.unwrap_or_default(),
        };
        stats.score += counts.score;
        *stats.by_mode.of_mut(named(name)?) = counts;
    }
    Ok(stats)
}

/// Stores a player's stats; `mode` is the one that changed.
///
/// # Errors
/// As the database says.
pub async fn store_stats(
    tx: &mut Tx,
    user_id: Uuid,
    stats: &Stats,
    mode: QuizMode,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO stats (user_id, answered, correct, streak, best_streak, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id) DO UPDATE SET
             answered = excluded.answered, correct = excluded.correct,
             streak = excluded.streak, best_streak = excluded.best_streak,
             updated_at = excluded.updated_at",
        params![
            user_id,
            stats.answered,
            stats.correct,
            stats.streak,
            stats.best_streak,
            now
        ],
    )
    .await?;
    let counts = stats.by_mode.of(mode);
    tx.execute(
        "INSERT INTO mode_stats (user_id, quiz_mode, answered, correct, score)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, quiz_mode) DO UPDATE SET
             answered = excluded.answered, correct = excluded.correct, score = excluded.score",
        params![
            user_id,
            mode.as_str(),
            counts.answered,
            counts.correct,
            counts.score
        ],
    )
    .await?;
    Ok(())
}

/// What the badge rules know of the player.
///
/// # Errors
/// As the database says.
pub async fn player(tx: &mut Tx, user_id: Uuid) -> Result<Player> {
    let row: Option<(Json<Player>,)> = tx
        .fetch_optional(
            "SELECT state FROM players WHERE user_id = $1",
            params![user_id],
        )
        .await?;
    Ok(row.map(|(state,)| state.0).unwrap_or_default())
}

/// Stores what the badge rules know of the player.
///
/// # Errors
/// As the database says.
pub async fn store_player(
    tx: &mut Tx,
    user_id: Uuid,
    player: &Player,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO players (user_id, state, updated_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET
             state = excluded.state, updated_at = excluded.updated_at",
        params![user_id, json(player)?, now],
    )
    .await?;
    Ok(())
}

/// Gives the player a badge; one that they have stays, when they earn it again after their stats were
/// set back.
///
/// # Errors
/// As the database says.
pub async fn unlock(
    tx: &mut Tx,
    user_id: Uuid,
    badge_id: &str,
    answer_id: Uuid,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO achievements (user_id, badge_id, answer_id, unlocked_at)
         VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, badge_id) DO NOTHING",
        params![user_id, badge_id, answer_id, now],
    )
    .await?;
    Ok(())
}

/// The player's badges, the first one first.
///
/// # Errors
/// As the database says.
pub async fn unlocked(db: &Database, user_id: Uuid) -> Result<Vec<Unlocked>> {
    db.fetch_all(
        "SELECT badge_id, unlocked_at FROM achievements WHERE user_id = $1
         ORDER BY unlocked_at, badge_id",
        params![user_id],
    )
    .await
}
