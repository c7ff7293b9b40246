//! The `leaderboard` table, which is the boards of all time; those of days and weeks are summed up
//! from `answers`. The order is [`Entry::rank`]'s: score down, then who reached it first, then the
//! smaller id.

use contracts::{Period, QuizMode, http::LeaderboardEntry};
use database::{Database, Result, Timestamp, Tx, Value, params};
use leaderboard::domain::{Board, Entry, Key, NEIGHBOURS, Page, TOP};
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

/// A line with its place; `reached_at` makes the cursor behind it.
#[derive(database::Record)]
struct Line {
    user_id: Uuid,
    display_name: String,
    score: i64,
    reached_at: Timestamp,
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

/// A statement over `ranked`: all lines of a board with their places. `$1` is the mode; a board of a
/// day or a week is what was answered from `$2` until before `$3` and not set back since. That of
/// all time is kept, and takes any two such times.
macro_rules! over_ranked {
    ($board:expr, $rest:literal) => {
        match $board.period {
            Period::AllTime => concat!(
                "WITH lines AS (
                     SELECT user_id, score, reached_at FROM leaderboard
                     WHERE quiz_mode = $1 AND $2 <= $3),",
                over_ranked!(ranked),
                $rest
            ),
            Period::Day | Period::Week => concat!(
                "WITH lines AS (
                     SELECT user_id, CAST(SUM(points) AS BIGINT) AS score,
                            COALESCE(MAX(CASE WHEN points > 0 THEN answered_at END),
                                     MIN(answered_at)) AS reached_at
                     FROM answers
                     WHERE quiz_mode = $1 AND counted AND answered_at >= $2 AND answered_at < $3
                     GROUP BY user_id),",
                over_ranked!(ranked),
                $rest
            ),
        }
    };
    (ranked) => {
        " ranked AS (
             SELECT l.user_id, u.display_name, l.score, l.reached_at,
                    ROW_NUMBER() OVER (ORDER BY l.score DESC, l.reached_at, l.user_id) AS position
             FROM lines l JOIN users u ON u.id = l.user_id) "
    };
}

/// The first three parameters of each.
fn of(board: Board) -> Vec<Value> {
    let time = |at: Option<_>| at.map_or(Timestamp::from_micros(0), Timestamp::from);
    params![
        board.quiz_mode.as_str(),
        time(board.since()),
        time(board.until())
    ]
}

/// The best of a board.
///
/// # Errors
/// As the database says.
pub async fn top(db: &Database, board: Board) -> Result<Vec<LeaderboardEntry>> {
    let sql = over_ranked!(board, "SELECT * FROM ranked ORDER BY position LIMIT $4");
    let mut values = of(board);
    values.extend(params![i64::try_from(TOP).unwrap_or(i64::MAX)]);
    let lines: Vec<Line> = db.fetch_all(sql, values).await?;
    Ok(lines.into_iter().map(Into::into).collect())
}

/// A player's own line with its place, if there is one.
///
/// # Errors
/// As the database says.
pub async fn line_of(
    db: &Database,
    board: Board,
    user_id: Uuid,
) -> Result<Option<LeaderboardEntry>> {
    let sql = over_ranked!(board, "SELECT * FROM ranked WHERE user_id = $4");
    let mut values = of(board);
    values.extend(params![user_id]);
    let line: Option<Line> = db.fetch_optional(sql, values).await?;
    Ok(line.map(Into::into))
}

/// The lines of a page, and the last one's key when others follow it.
///
/// # Errors
/// As the database says.
pub async fn page(db: &Database, page: &Page) -> Result<(Vec<LeaderboardEntry>, Option<Key>)> {
    let sql = over_ranked!(
        page.board,
        "SELECT * FROM ranked WHERE score < $4
            OR (score = $4 AND (reached_at, user_id) > ($5, $6)) ORDER BY position LIMIT $7"
    );
    let after = page.after.as_ref().map(Entry::of_key);
    let mut values = of(page.board);
    values.extend(match after {
        Some(entry) => {
            let reached_at = Timestamp::from(entry.reached_at);
            params![entry.score, reached_at, entry.user_id]
        }
        // The first page: nobody stands above, and no score is as high.
        None => params![i64::MAX, Timestamp::from_micros(0), Uuid::nil()],
    });
    values.extend(params![i64::from(page.limit) + 1]);
    let mut lines: Vec<Line> = db.fetch_all(sql, values).await?;
    let wanted = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let is_last = lines.len() <= wanted;
    lines.truncate(wanted);
    let key = |line: &Line| {
        let entry = Entry {
            user_id: line.user_id,
            score: line.score,
            reached_at: line.reached_at.into(),
        };
        entry.key()
    };
    let next = lines.last().filter(|_| !is_last).map(key);
    Ok((lines.into_iter().map(Into::into).collect(), next))
}

/// A player's line with those just above and below it; none when the player is not on the board.
///
/// # Errors
/// As the database says.
pub async fn around(db: &Database, board: Board, user_id: Uuid) -> Result<Vec<LeaderboardEntry>> {
    let sql = over_ranked!(
        board,
        "SELECT r.* FROM ranked r JOIN ranked own ON own.user_id = $4
         WHERE r.position BETWEEN own.position - $5 AND own.position + $5 ORDER BY r.position"
    );
    let mut values = of(board);
    values.extend(params![
        user_id,
        i64::try_from(NEIGHBOURS).unwrap_or(i64::MAX)
    ]);
    let lines: Vec<Line> = db.fetch_all(sql, values).await?;
    Ok(lines.into_iter().map(Into::into).collect())
}

/// Whether the user's account was deleted.
///
/// # Errors
/// As the database says.
pub async fn has_left(db: &Database, user_id: Uuid) -> Result<bool> {
    let found: Option<(i64,)> = db
        .fetch_optional(
            "SELECT CAST(1 AS BIGINT) FROM deleted_accounts WHERE user_id = $1",
            params![user_id],
        )
        .await?;
    Ok(found.is_some())
}
