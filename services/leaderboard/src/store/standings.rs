//! The `standings` table: who has how many points on which board.

use database::{Result, Timestamp, Tx, params};
use uuid::Uuid;

use super::{
    players::{self, Source},
    tree::{Move, Tree},
};
use crate::domain::{Board, Entry, Key};

/// Boards that one event is about at most: all time, day, week.
const BOARDS: usize = 3;

/// What is known of a player.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The name, and whether it may be outdone by an answer's.
    name: Option<(String, String)>,
    /// How often the player began anew.
    pub resets: i64,
    /// The entries on the boards that were asked for.
    entries: Vec<(i64, Entry)>,
}

/// A line's change on one board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The board.
    pub board: Board,
    /// The line before; none where there was none.
    pub before: Option<Entry>,
    /// The line after; none when it is taken off.
    pub after: Option<Entry>,
}

/// Where points come from; each is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An answer.
    Answer,
    /// A badge.
    Badge,
}

/// The player's name, resets, and entries on these boards, three at most. Whoever wants to change
/// them holds [`super::lock`].
///
/// # Errors
/// As the database says.
pub async fn held(tx: &mut Tx, user_id: Uuid, boards: &[Board]) -> Result<Held> {
    type Row = (
        Option<String>,
        Option<String>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<Timestamp>,
    );
    let board = |place: usize| boards.get(place).map(|board| board.id());
    let rows: Vec<Row> = tx
        .fetch_all(
            "SELECT p.display_name, p.source, p.resets, s.board, s.score, s.reached_at
             FROM (SELECT $1 AS user_id) asked
             LEFT JOIN players p ON p.user_id = asked.user_id
             LEFT JOIN standings s ON s.user_id = asked.user_id AND s.board IN ($2, $3, $4)",
            params![user_id, board(0), board(1), board(2)],
        )
        .await?;
    let mut held = Held::default();
    for (display_name, source, resets, board, score, reached_at) in rows {
        held.name = display_name.zip(source);
        held.resets = resets.unwrap_or(0);
        if let (Some(board), Some(score), Some(at)) = (board, score, reached_at) {
            let reached_at = at.into();
            let entry = Entry {
                user_id,
                score,
                reached_at,
            };
            held.entries.push((board, entry));
        }
    }
    Ok(held)
}

impl Held {
    /// The entry on a board.
    #[must_use]
    pub fn on(&self, board: Board) -> Option<Entry> {
        let found = self.entries.iter().find(|(id, _)| *id == board.id());
        found.map(|(_, entry)| *entry)
    }

    /// Notes the name that came with an answer, where that is news.
    ///
    /// # Errors
    /// As the database says.
    pub async fn rename(&self, tx: &mut Tx, user_id: Uuid, display_name: &str) -> Result<()> {
        let is_known = self.name.as_ref().is_some_and(|(name, source)| {
            source == Source::Account.as_str()
                || (source == Source::Answer.as_str() && name == display_name)
        });
        if is_known {
            return Ok(());
        }
        players::name(tx, user_id, display_name, Source::Answer).await
    }
}

/// Makes these changes of one player's lines, three at most, and counts them. The caller holds
/// [`super::lock`] since it read what was before.
///
/// # Errors
/// As the database says.
pub async fn change(tx: &mut Tx, tree: Tree, changes: &[Change], origin: Origin) -> Result<()> {
    let changed = || changes.iter().filter(|one| one.before != one.after);
    let saved: Vec<(Board, Entry)> = changed()
        .filter_map(|one| Some((one.board, one.after?)))
        .collect();
    for chunk in saved.chunks(BOARDS) {
        save(tx, chunk, origin).await?;
    }
    for one in changed().filter(|one| one.after.is_none()) {
        if let Some(entry) = one.before {
            tx.execute(
                "DELETE FROM standings WHERE user_id = $1 AND board = $2",
                params![entry.user_id, one.board.id()],
            )
            .await?;
        }
    }
    let key = |entry: Option<Entry>| entry.map(|entry| entry.key());
    let moves: Vec<Move> = changed()
        .map(|one| Move {
            board: one.board,
            from: key(one.before),
            to: key(one.after),
        })
        .collect();
    tree.shift(tx, &moves).await
}

/// One statement for up to three boards.
async fn save(tx: &mut Tx, lines: &[(Board, Entry)], origin: Origin) -> Result<()> {
    macro_rules! save {
        ($column:literal, $other:literal) => {
            concat!(
                "WITH lines(user_id, board, score, reached_at, rank_key) AS (
                     VALUES ($1, $2, $3, $4, $5), ($6, $7, $8, $9, $10),
                            ($11, $12, $13, $14, $15))
                 INSERT INTO standings (user_id, board, ",
                $column,
                ", score, reached_at, rank_key)
                 SELECT user_id, board, score, score, reached_at, rank_key FROM lines
                 WHERE board IS NOT NULL
                 ON CONFLICT (user_id, board) DO UPDATE SET ",
                $column,
                " = excluded.score - standings.base - standings.",
                $other,
                ", score = excluded.score, reached_at = excluded.reached_at,
                   rank_key = excluded.rank_key"
            )
        };
    }
    let sql = match origin {
        Origin::Answer => save!("points", "bonus"),
        Origin::Badge => save!("bonus", "points"),
    };
    let mut values = Vec::with_capacity(BOARDS * 5);
    for (board, entry) in lines {
        let reached_at = Timestamp::from(entry.reached_at);
        let key = entry.key().to_vec();
        values.extend(params![
            entry.user_id,
            board.id(),
            entry.score,
            reached_at,
            key
        ]);
    }
    while values.len() < BOARDS * 5 {
        values.extend(params![
            None::<Uuid>,
            None::<i64>,
            None::<i64>,
            None::<Timestamp>,
            None::<Vec<u8>>
        ]);
    }
    tx.execute(sql, values).await.map(|_| ())
}

/// Takes a player off all boards. The caller holds [`super::lock`].
///
/// # Errors
/// As the database says.
pub async fn clear(tx: &mut Tx, tree: Tree, user_id: Uuid) -> Result<()> {
    let rows: Vec<(i64, Vec<u8>)> = tx
        .fetch_all(
            "SELECT board, rank_key FROM standings WHERE user_id = $1 ORDER BY board",
            params![user_id],
        )
        .await?;
    tx.execute("DELETE FROM standings WHERE user_id = $1", params![user_id])
        .await?;
    let gone = rows.into_iter().filter_map(|(board, key)| {
        Some(Move {
            board: Board::of_id(board)?,
            from: Some(Key::try_from(key).ok()?),
            to: None,
        })
    });
    tree.shift(tx, &gone.collect::<Vec<_>>()).await
}
