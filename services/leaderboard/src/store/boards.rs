//! Reading boards. Each of these is one statement, so that places, scores and order are of one
//! moment.

use contracts::http::LeaderboardEntry;
use database::{Database, Result, params};
use uuid::Uuid;

use super::tree::{NOTHING, above};
use crate::domain::{Board, Key, NEIGHBOURS, TOP};

/// A page of a board.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The lines.
    pub items: Vec<LeaderboardEntry>,
    /// The last line's key, when others follow it.
    pub next: Option<Key>,
}

/// A player's neighbourhood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Around {
    /// The lines, the player's own among them; none when the player is not on the board.
    pub items: Vec<LeaderboardEntry>,
    /// The player's own.
    pub me: Option<LeaderboardEntry>,
}

/// A stored line of the boards of all time, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, database::Record)]
pub struct Line {
    /// The player.
    pub user_id: Uuid,
    /// The board.
    pub board: i64,
    /// What was imported.
    pub base: i64,
    /// What answers earned here, provisional points included.
    pub points: i64,
    /// What badges earned here.
    pub bonus: i64,
    /// All together.
    pub score: i64,
}

/// The best of a board.
///
/// # Errors
/// As the database says.
pub async fn top(db: &Database, board: Board) -> Result<Vec<LeaderboardEntry>> {
    let rows: Vec<(Uuid, String, i64)> = db
        .fetch_all(
            "SELECT s.user_id, COALESCE(p.display_name, ''), s.score FROM standings s
             LEFT JOIN players p ON p.user_id = s.user_id
             WHERE s.board = $1 ORDER BY s.rank_key LIMIT $2",
            params![board.id(), i64::try_from(TOP).unwrap_or(i64::MAX)],
        )
        .await?;
    Ok((1..)
        .zip(rows)
        .map(
            |(position, (user_id, display_name, score))| LeaderboardEntry {
                position,
                user_id,
                display_name,
                score,
            },
        )
        .collect())
}

/// One player's line of a board, if there is one.
///
/// # Errors
/// As the database says.
pub async fn line(db: &Database, board: Board, user_id: Uuid) -> Result<Option<LeaderboardEntry>> {
    let sql = concat!(
        "WITH mine AS (SELECT user_id, score, rank_key FROM standings
                       WHERE user_id = $3 AND board = $1),
         own(k) AS (SELECT rank_key FROM mine), ",
        above!(),
        " SELECT COALESCE(p.display_name, ''), mine.score, (SELECT n FROM above) FROM mine
          LEFT JOIN players p ON p.user_id = mine.user_id"
    );
    let row: Option<(String, i64, i64)> = db
        .fetch_optional(sql, params![board.id(), NOTHING.to_vec(), user_id])
        .await?;
    Ok(row.map(|(display_name, score, above)| LeaderboardEntry {
        position: above + 1,
        user_id,
        display_name,
        score,
    }))
}

/// The lines below `after`, or the first ones.
///
/// # Errors
/// As the database says.
pub async fn page(db: &Database, board: Board, after: Option<Key>, limit: u32) -> Result<Page> {
    let sql = concat!(
        "WITH items AS (SELECT user_id, score, rank_key FROM standings
                        WHERE board = $1 AND rank_key > $3 ORDER BY rank_key LIMIT $4),
         own(k) AS (SELECT rank_key FROM items ORDER BY rank_key LIMIT 1), ",
        above!(),
        " SELECT i.user_id, COALESCE(p.display_name, '') AS display_name, i.score,
                 (SELECT n FROM above) AS n, i.rank_key
          FROM items i LEFT JOIN players p ON p.user_id = i.user_id ORDER BY i.rank_key"
    );
    let after = after.map_or_else(Vec::new, |key| key.to_vec());
    // One more than wanted tells whether there is a next page.
    let mut rows: Vec<Row> = db
        .fetch_all(
            sql,
            params![board.id(), NOTHING.to_vec(), after, i64::from(limit) + 1],
        )
        .await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_last = rows.len() <= wanted;
    rows.truncate(wanted);
    let next = rows
        .last()
        .filter(|_| !is_last)
        .and_then(|row| Key::try_from(row.rank_key.as_slice()).ok());
    let items = (1..).zip(rows).map(|(place, row)| LeaderboardEntry {
        position: row.n + place,
        user_id: row.user_id,
        display_name: row.display_name,
        score: row.score,
    });
    Ok(Page {
        items: items.collect(),
        next,
    })
}

/// A player's line with those just above and below it.
///
/// # Errors
/// As the database says.
pub async fn around(db: &Database, board: Board, user_id: Uuid) -> Result<Around> {
    let sql = concat!(
        "WITH own(k) AS (SELECT rank_key FROM standings WHERE user_id = $3 AND board = $1), ",
        above!(),
        ", upper AS (SELECT user_id, score, rank_key FROM standings
                     WHERE board = $1 AND rank_key < (SELECT k FROM own)
                     ORDER BY rank_key DESC LIMIT $4),
         lower AS (SELECT user_id, score, rank_key FROM standings
                   WHERE board = $1 AND rank_key >= (SELECT k FROM own)
                   ORDER BY rank_key LIMIT $4 + 1),
         items AS (SELECT * FROM upper UNION ALL SELECT * FROM lower)
         SELECT i.user_id, COALESCE(p.display_name, '') AS display_name, i.score,
                (SELECT n FROM above) AS n, i.rank_key
         FROM items i LEFT JOIN players p ON p.user_id = i.user_id ORDER BY i.rank_key"
    );
    let each = i64::try_from(NEIGHBOURS).unwrap_or(i64::MAX - 1);
    let rows: Vec<Row> = db
        .fetch_all(sql, params![board.id(), NOTHING.to_vec(), user_id, each])
        .await?;
    let Some(own) = rows.iter().position(|row| row.user_id == user_id) else {
        return Ok(Around::default());
    };
    let first = 1 - i64::try_from(own).unwrap_or(0);
    let items = (first..).zip(rows).map(|(place, row)| LeaderboardEntry {
        position: row.n + place,
        user_id: row.user_id,
        display_name: row.display_name,
        score: row.score,
    });
    let items: Vec<_> = items.collect();
    let me = items.get(own).cloned();
    Ok(Around { items, me })
}

/// A page of lines of the boards of all time, in the order of (user, board), for the audit.
///
/// # Errors
/// As the database says.
pub async fn lines(db: &Database, after: (Uuid, i64), limit: i64) -> Result<Vec<Line>> {
    db.fetch_all(
        "SELECT user_id, board, base, points, bonus, score FROM standings
         WHERE (user_id, board) > ($1, $2) AND board < $3
         ORDER BY user_id, board LIMIT $4",
        params![
            after.0,
            after.1,
            Board::first_id(contracts::Period::Day, 0),
            limit
        ],
    )
    .await
}

#[derive(database::Record)]
struct Row {
    user_id: Uuid,
    display_name: String,
    score: i64,
    n: i64,
    rank_key: Vec<u8>,
}
