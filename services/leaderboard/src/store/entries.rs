//! Lines as a whole, what was imported included; and `entries`, the table that the first version
//! kept them in. Its rows are moved to `standings`; a replica of the first version that still runs
//! beside this one adds rows there, which are added on top.

use std::collections::HashSet;

use contracts::{Period, QuizMode};
use database::{Result, Sql, Timestamp, Tx, params};
use serde_json::json;
use uuid::Uuid;

use super::tree::Move;
use crate::domain::{Board, Entry, Key};

/// A line of a board of all time.
#[derive(Clone, Debug, PartialEq, Eq, database::Record)]
pub struct Line {
    /// The player.
    pub user_id: Uuid,
    /// The board's number.
    pub board: i64,
    /// What was imported.
    pub base: i64,
    /// As of when.
    pub base_at: Option<Timestamp>,
    /// What answers earned here.
    pub points: i64,
    /// What badges earned here.
    pub bonus: i64,
    /// When the score was reached.
    pub reached_at: Timestamp,
}

#[derive(database::Record)]
struct Old {
    user_id: Uuid,
    quiz_mode: String,
    base: i64,
    base_at: Option<Timestamp>,
    points: i64,
    reached_at: Timestamp,
}

impl Line {
    /// All points together, as an entry.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry {
            user_id: self.user_id,
            score: self
                .base
                .saturating_add(self.points)
                .saturating_add(self.bonus),
            reached_at: self.reached_at.into(),
        }
    }

    /// Its key on its board.
    #[must_use]
    pub fn key(&self) -> Key {
        self.entry().key()
    }

    /// Takes a score of the monolith's as of `at`; what was earned here stays on top of it.
    pub fn rebase(&mut self, base: i64, at: Timestamp) {
        self.base = base;
        self.base_at = Some(at);
        if self.points == 0 && self.bonus == 0 {
            self.reached_at = at;
        }
    }
}

/// The board of all time that a mode has.
#[must_use]
pub fn all_time(quiz_mode: QuizMode) -> Board {
    Board {
        quiz_mode,
        period: Period::AllTime,
        begins: 0,
    }
}

/// These players' lines on the boards of all time.
///
/// # Errors
/// As the database says.
pub async fn of_players(tx: &mut Tx, users: Vec<Uuid>) -> Result<Vec<Line>> {
    let sql = Sql::by_dialect(
        "SELECT user_id, board, base, base_at, points, bonus, reached_at FROM standings
         WHERE user_id = ANY($1) AND board < $2",
        "SELECT user_id, board, base, base_at, points, bonus, reached_at FROM standings
         WHERE user_id IN (SELECT unhex(value) FROM json_each($1)) AND board < $2",
    );
    tx.fetch_all(sql, params![users, Board::first_id(Period::Day, 0)])
        .await
}

/// Stores a line as a whole.
///
/// # Errors
/// As the database says.
pub async fn store(tx: &mut Tx, line: &Line) -> Result<()> {
    let entry = line.entry();
    tx.execute(
        "INSERT INTO standings
             (user_id, board, base, base_at, points, bonus, score, reached_at, rank_key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (user_id, board) DO UPDATE SET
             base = excluded.base, base_at = excluded.base_at, points = excluded.points,
             bonus = excluded.bonus, score = excluded.score, reached_at = excluded.reached_at,
             rank_key = excluded.rank_key",
        params![
            line.user_id,
            line.board,
            line.base,
            line.base_at,
            line.points,
            line.bonus,
            entry.score,
            line.reached_at,
            entry.key().to_vec()
        ],
    )
    .await
    .map(|_| ())
}

/// Stores lines that may be new, in one statement; those that are there already stay as they are.
/// Which were new.
///
/// # Errors
/// As the database says.
pub async fn insert_new(tx: &mut Tx, lines: &[Line]) -> Result<HashSet<(Uuid, i64)>> {
    const INSERT: Sql = Sql::by_dialect(
        "INSERT INTO standings
             (user_id, board, base, base_at, points, bonus, score, reached_at, rank_key)
         SELECT l.u, l.b, l.base, TIMESTAMPTZ 'epoch' + l.base_at * INTERVAL '1 microsecond',
                l.points, l.bonus, l.score,
                TIMESTAMPTZ 'epoch' + l.reached_at * INTERVAL '1 microsecond', decode(l.k, 'hex')
         FROM jsonb_to_recordset($1) AS l(u UUID, b BIGINT, base BIGINT, base_at BIGINT,
              points BIGINT, bonus BIGINT, score BIGINT, reached_at BIGINT, k TEXT)
         ON CONFLICT (user_id, board) DO NOTHING RETURNING user_id, board",
        "INSERT INTO standings
             (user_id, board, base, base_at, points, bonus, score, reached_at, rank_key)
         SELECT unhex(value ->> 'u', '-'), value ->> 'b', value ->> 'base', value ->> 'base_at',
                value ->> 'points', value ->> 'bonus', value ->> 'score', value ->> 'reached_at',
                unhex(value ->> 'k')
         FROM json_each($1) WHERE true
         ON CONFLICT (user_id, board) DO NOTHING RETURNING user_id, board",
    );
    let rows = lines.iter().map(|line| {
        let entry = line.entry();
        let key = entry.key();
        json!({
            "u": line.user_id, "b": line.board, "base": line.base,
            "base_at": line.base_at.map(Timestamp::as_micros), "points": line.points,
            "bonus": line.bonus, "score": entry.score, "reached_at": line.reached_at.as_micros(),
            "k": hex(&key),
        })
    });
    let rows = serde_json::Value::Array(rows.collect());
    let new: Vec<(Uuid, i64)> = tx.fetch_all(INSERT, params![rows]).await?;
    Ok(new.into_iter().collect())
}

/// Moves up to `limit` rows of the first version's table; the changes of place that this means.
/// The caller holds [`super::lock`].
///
/// # Errors
/// As the database says.
pub async fn take_over(tx: &mut Tx, limit: i64) -> Result<Vec<Move>> {
    let old: Vec<Old> = tx
        .fetch_all(
            "DELETE FROM entries WHERE (user_id, quiz_mode) IN (
                 SELECT user_id, quiz_mode FROM entries ORDER BY user_id, quiz_mode LIMIT $1)
             RETURNING user_id, quiz_mode, base, base_at, points, reached_at",
            params![limit],
        )
        .await?;
    let lines = old.into_iter().map(Old::line).collect::<Result<Vec<_>>>()?;
    let new = insert_new(tx, &lines).await?;
    let (new, added): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| new.contains(&(line.user_id, line.board)));
    let mut moves: Vec<Move> = new.iter().filter_map(|line| moved(None, line)).collect();
    let there = of_players(tx, added.iter().map(|line| line.user_id).collect()).await?;
    for more in added {
        let is_same = |line: &&Line| (line.user_id, line.board) == (more.user_id, more.board);
        let Some(before) = there.iter().find(is_same) else {
            continue;
        };
        let mut after = before.clone();
        after.points = after.points.saturating_add(more.points);
        after.reached_at = after.reached_at.max(more.reached_at);
        if let Some(at) = more.base_at.filter(|at| Some(*at) > before.base_at) {
            after.rebase(more.base, at);
        }
        store(tx, &after).await?;
        moves.extend(moved(Some(before.key()), &after));
    }
    Ok(moves)
}

/// The change of place that a stored line means.
#[must_use]
pub fn moved(from: Option<Key>, line: &Line) -> Option<Move> {
    Some(Move {
        board: Board::of_id(line.board)?,
        from,
        to: Some(line.key()),
    })
}

impl Old {
    fn line(self) -> Result<Line> {
        let quiz_mode: QuizMode = self
            .quiz_mode
            .parse()
            .map_err(|error| database::Error::Query(Box::<contracts::UnknownName>::new(error)))?;
        Ok(Line {
            user_id: self.user_id,
            board: all_time(quiz_mode).id(),
            base: self.base,
            base_at: self.base_at,
            points: self.points,
            bonus: 0,
            reached_at: self.reached_at,
        })
    }
}

/// As PostgreSQL's `decode` reads it: a value has no arrays of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
