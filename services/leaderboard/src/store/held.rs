//! The players and lines that a transaction works on: read once, changed in memory, and written together
//! before the commit.
//!
//! Invariants:
//! - Whoever reads here holds [`super::lock`], so that a line is this transaction's from when it is read.
//!   (One that was first read after a savepoint is read again when that is gone back to.)
//! - The tables stay as they are until all is written, so that a place is what is counted there with what
//!   was changed here on top.

use std::collections::{BTreeMap, BTreeSet};

use database::{Dialect, Error, Result, Timestamp, Tx, Writing, params};
use uuid::Uuid;

use super::{
    players::{self, Source},
    standings::{self, Change},
    tree::{self, Tree},
};
use crate::domain::{Board, Entry, Key};

/// Boards of one statement where there are no arrays: all time, day, week.
const BOARDS: usize = 3;

/// Where points come from; each is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An answer.
    Answer,
    /// A badge.
    Badge,
}

/// What is known of a player.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How often the player began anew.
    pub resets: i64,
    /// Whether the account was deleted.
    pub has_left: bool,
    /// The entries on the boards that were asked for.
    entries: Vec<(Board, Entry)>,
}

impl Held {
    /// The entry on a board.
    #[must_use]
    pub fn on(&self, board: Board) -> Option<Entry> {
        let found = self.entries.iter().find(|(on, _)| *on == board);
        found.map(|(_, entry)| *entry)
    }
}

#[derive(Clone, Default)]
struct Books {
    players: BTreeMap<Uuid, Player>,
    /// By board and player.
    lines: BTreeMap<(i64, Uuid), Line>,
    /// How many stand above these keys of boards as the tables say.
    places: BTreeMap<(i64, Key), i64>,
    /// Who may stand on no board any more.
    unplaced: BTreeSet<Uuid>,
}

#[derive(Clone, Default)]
struct Player {
    /// The name and who gave it.
    name: Option<(String, String)>,
    is_renamed: bool,
    resets: i64,
    has_left: bool,
}

/// A line, as the tables say and as it is now.
#[derive(Clone, Copy, Default)]
struct Line {
    was: Option<Entry>,
    now: Option<Entry>,
    /// Whether it was taken off meanwhile.
    was_gone: bool,
    /// What badges added.
    bonus: i64,
}

impl Line {
    fn is_changed(&self) -> bool {
        self.was != self.now || self.was_gone || self.bonus != 0
    }

    fn changes(&self, board: Board) -> impl Iterator<Item = Change> {
        let Self {
            was, now, bonus, ..
        } = *self;
        let change = |before, after| Change {
            board,
            before,
            after,
            bonus,
        };
        let changes = if self.was_gone {
            [
                was.map(|_| change(was, None)),
                now.map(|_| change(None, now)),
            ]
        } else {
            [self.is_changed().then(|| change(was, now)), None]
        };
        changes.into_iter().flatten()
    }
}

/// Reads those lines that are not read yet, and what is known of their players. Nobody else changes boards
/// from then until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn open(tx: &mut Tx, wanted: BTreeSet<(Uuid, Board)>) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    super::lock(tx).await?;
    let known = &tx.deferred::<Books>().lines;
    let is_new = |(user_id, board): &(Uuid, Board)| !known.contains_key(&(board.id(), *user_id));
    let new: BTreeSet<(Uuid, Board)> = wanted.into_iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(());
    }
    let rows = match tx.dialect() {
        Dialect::Postgres => read_all(tx, &new).await?,
        Dialect::Sqlite => read_each(tx, &new).await?,
    };
    let books = tx.deferred::<Books>();
    let begun = new.into_iter();
    let begun = begun.map(|(user_id, board)| ((board.id(), user_id), Line::default()));
    books.lines.extend(begun);
    for row in rows {
        let user_id = row.user_id;
        if let Some((board, entry)) = row.line() {
            let line = Line {
                was: Some(entry),
                now: Some(entry),
                ..Line::default()
            };
            books.lines.insert((board, user_id), line);
        }
        let player = books.players.entry(user_id);
        player.or_insert_with(|| row.player());
    }
    Ok(())
}

/// What is known of a player, and the entries on these boards.
///
/// # Errors
/// As the database says.
pub async fn held(tx: &mut Tx, user_id: Uuid, boards: &[Board]) -> Result<Held> {
    open(tx, boards.iter().map(|board| (user_id, *board)).collect()).await?;
    let books = tx.deferred::<Books>();
    let player = books.players.get(&user_id).ok_or(Error::NotFound)?;
    let on = |board: &Board| {
        let line = books.lines.get(&(board.id(), user_id))?;
        Some((*board, line.now?))
    };
    Ok(Held {
        resets: player.resets,
        has_left: player.has_left,
        entries: boards.iter().filter_map(on).collect(),
    })
}

/// Notes the name that came with an answer, where that is news. The player is [`held`].
pub fn rename(tx: &mut Tx, user_id: Uuid, display_name: String) {
    let player = tx.deferred::<Books>().players.entry(user_id).or_default();
    let is_known = player.name.as_ref().is_some_and(|(name, source)| {
        source == Source::Account.as_str()
            || (source == Source::Answer.as_str() && *name == display_name)
    });
    if !is_known {
        player.name = Some((display_name, Source::Answer.as_str().to_owned()));
        player.is_renamed = true;
    }
}

/// Sets a line that is [`held`]; none takes it off.
pub fn set(tx: &mut Tx, user_id: Uuid, board: Board, after: Option<Entry>, origin: Origin) {
    let lines = &mut tx.deferred::<Books>().lines;
    let line = lines.entry((board.id(), user_id)).or_default();
    match after {
        None => {
            line.was_gone |= line.was.is_some();
            line.bonus = 0;
        }
        Some(after) if origin == Origin::Badge => {
            let before = line.now.map_or(0, |entry| entry.score);
            line.bonus = line.bonus.saturating_add(after.score - before);
        }
        Some(_) => {}
    }
    line.now = after;
}

/// Forgets the player's name at the end, unless there is a line of theirs by then; see
/// [`players::forget_unplaced`].
pub fn forget_unplaced(tx: &mut Tx, user_id: Uuid) {
    tx.deferred::<Books>().unplaced.insert(user_id);
}

/// Counts at once who stands above these keys, for [`above`].
///
/// # Errors
/// As the database says.
pub async fn count(tx: &mut Tx, keys: BTreeSet<(i64, Key)>) -> Result<()> {
    // On SQLite each is counted when it is needed.
    if keys.is_empty() || tx.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let keys: Vec<(i64, Key)> = keys.into_iter().collect();
    let counted = tree::all_above(tx, &keys).await?;
    tx.deferred::<Books>().places.extend(counted);
    Ok(())
}

/// How many stand above a key.
///
/// # Errors
/// As the database says.
pub async fn above(tx: &mut Tx, board: Board, key: &Key) -> Result<i64> {
    let id = board.id();
    let known = tx.deferred::<Books>().places.get(&(id, *key)).copied();
    let stored = match known {
        Some(above) => above,
        None => tree::count_above(tx, board, key).await?,
    };
    let of_board = (id, Uuid::nil())..=(id, Uuid::max());
    let lines = tx.deferred::<Books>().lines.range(of_board);
    let is_above = |entry: Option<Entry>| entry.is_some_and(|entry| entry.key() < *key);
    let moved = lines
        .map(|(_, line)| line)
        .filter(|line| line.was != line.now)
        .map(|line| i64::from(is_above(line.now)) - i64::from(is_above(line.was)));
    Ok(stored + moved.sum::<i64>())
}

impl database::Deferred for Books {
    fn write(self, tx: &mut Tx) -> Writing<'_> {
        Box::pin(write(tx, self))
    }
}

async fn write(tx: &mut Tx, books: Books) -> Result<()> {
    let renamed = books.players.into_iter();
    let renamed = renamed.filter(|(_, player)| player.is_renamed);
    let names = renamed.filter_map(|(user_id, player)| Some((user_id, player.name?.0)));
    players::name_all(tx, names.collect()).await?;
    let changes = books.lines.iter().filter_map(|((board, _), line)| {
        let board = Board::of_id(*board)?;
        Some(line.changes(board))
    });
    let changes: Vec<Change> = changes.flatten().collect();
    standings::change(tx, Tree::default(), &changes).await?;
    // Only now every line is there that will be.
    players::forget_unplaced(tx, books.unplaced.into_iter().collect()).await
}

#[derive(database::Record)]
struct Row {
    user_id: Uuid,
    display_name: Option<String>,
    source: Option<String>,
    resets: Option<i64>,
    has_left: bool,
    board: Option<i64>,
    score: Option<i64>,
    reached_at: Option<Timestamp>,
}

impl Row {
    fn line(&self) -> Option<(i64, Entry)> {
        let entry = Entry {
            user_id: self.user_id,
            score: self.score?,
            reached_at: self.reached_at?.into(),
        };
        Some((self.board?, entry))
    }

    fn player(self) -> Player {
        Player {
            name: self.display_name.zip(self.source),
            is_renamed: false,
            resets: self.resets.unwrap_or(0),
            has_left: self.has_left,
        }
    }
}

async fn read_all(tx: &mut Tx, wanted: &BTreeSet<(Uuid, Board)>) -> Result<Vec<Row>> {
    const READ: &str = "SELECT asked.user_id, p.display_name, p.source, p.resets,
                d.user_id IS NOT NULL AS has_left, s.board, s.score, s.reached_at
         FROM unnest($1::UUID[], $2::BIGINT[]) AS asked (user_id, board)
         LEFT JOIN players p ON p.user_id = asked.user_id
         LEFT JOIN departed_users d ON d.user_id = asked.user_id
         LEFT JOIN standings s ON s.user_id = asked.user_id AND s.board = asked.board";
    let users: Vec<Uuid> = wanted.iter().map(|(user_id, _)| *user_id).collect();
    let boards: Vec<i64> = wanted.iter().map(|(_, board)| board.id()).collect();
    tx.fetch_all(READ, params![users, boards]).await
}

async fn read_each(tx: &mut Tx, wanted: &BTreeSet<(Uuid, Board)>) -> Result<Vec<Row>> {
    const READ: &str = "SELECT asked.user_id, p.display_name, p.source, p.resets,
                d.user_id IS NOT NULL AS has_left, s.board, s.score, s.reached_at
         FROM (SELECT $1 AS user_id) asked
         LEFT JOIN players p ON p.user_id = asked.user_id
         LEFT JOIN departed_users d ON d.user_id = asked.user_id
         LEFT JOIN standings s ON s.user_id = asked.user_id AND s.board IN ($2, $3, $4)";
    let mut by_player: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    for (user_id, board) in wanted {
        by_player.entry(*user_id).or_default().push(board.id());
    }
    let mut rows = Vec::new();
    for (user_id, boards) in by_player {
        for some in boards.chunks(BOARDS) {
            let board = |place: usize| some.get(place).copied();
            let values = params![user_id, board(0), board(1), board(2)];
            let read: Vec<Row> = tx.fetch_all(READ, values).await?;
            rows.extend(read);
        }
    }
    Ok(rows)
}
