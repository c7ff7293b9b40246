//! The `standings` table: who has how many points on which board.

use database::{Dialect, Result, Timestamp, Tx, Value, params};
use uuid::Uuid;

use super::{
    entries::hex,
    tree::{Move, Tree},
};
use crate::domain::{Board, Entry, Key};

/// A line's change on one board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The board.
    pub board: Board,
    /// The line before; none where there was none.
    pub before: Option<Entry>,
    /// The line after; none when it is taken off.
    pub after: Option<Entry>,
    /// How many of the points between them a badge earned; an answer earned the others. Each are kept
    /// apart.
    pub bonus: i64,
}

/// Makes these changes of lines, and counts them. Of one line there may be two: taken off, and begun
/// anew. The caller holds [`super::lock`] since it read what was before.
///
/// # Errors
/// As the database says.
pub async fn change(tx: &mut Tx, tree: Tree, changes: &[Change]) -> Result<()> {
    let gone = changes.iter().filter(|one| one.after.is_none());
    let gone = gone.filter_map(|one| Some((one.before?.user_id, one.board.id())));
    remove(tx, gone.collect()).await?;
    let saved = changes.iter().filter_map(Saved::of);
    save(tx, saved.collect()).await?;
    let key = |entry: Option<Entry>| entry.map(|entry| entry.key());
    let moves = changes.iter().map(|one| Move {
        board: one.board,
        from: key(one.before),
        to: key(one.after),
    });
    tree.shift(tx, &moves.collect::<Vec<_>>()).await
}

/// A line that is written.
struct Saved {
    board: i64,
    entry: Entry,
    /// What badges add to what the line has of them.
    bonus: i64,
}

impl Saved {
    fn of(change: &Change) -> Option<Self> {
        Some(Self {
            board: change.board.id(),
            entry: change.after?,
            bonus: change.bonus,
        })
    }
}

async fn remove(tx: &mut Tx, lines: Vec<(Uuid, i64)>) -> Result<()> {
    const ONE: &str = "DELETE FROM standings WHERE user_id = $1 AND board = $2";
    const ALL: &str = "DELETE FROM standings
         USING unnest($1::UUID[], $2::BIGINT[]) AS given (user_id, board)
         WHERE standings.user_id = given.user_id AND standings.board = given.board";
    if lines.is_empty() {
        return Ok(());
    }
    if tx.dialect() == Dialect::Sqlite {
        let rows = lines.into_iter().map(|(user, board)| params![user, board]);
        return tx.execute_each(ONE, rows.collect()).await.map(|_| ());
    }
    let (users, boards): (Vec<Uuid>, Vec<i64>) = lines.into_iter().unzip();
    tx.execute(ALL, params![users, boards]).await.map(|_| ())
}

async fn save(tx: &mut Tx, lines: Vec<Saved>) -> Result<()> {
    // The row that is proposed has to be right as a whole, also where there is one already.
    macro_rules! save {
        ($lines:literal) => {
            concat!(
                "INSERT INTO standings (user_id, board, points, bonus, score, reached_at, rank_key) ",
                $lines,
                " ON CONFLICT (user_id, board) DO UPDATE SET
                     points = excluded.points - standings.base - standings.bonus,
                     bonus = standings.bonus + excluded.bonus,
                     score = excluded.score, reached_at = excluded.reached_at,
                     rank_key = excluded.rank_key"
            )
        };
    }
    const ONE: &str = save!("VALUES ($1, $2, $3, $4, $5, $6, $7)");
    const ALL: &str = save!(
        "SELECT user_id, board, points, bonus, score, reached_at, decode(k, 'hex')
         FROM unnest($1::UUID[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[],
                     $6::TIMESTAMPTZ[], $7::TEXT[])
             AS given (user_id, board, points, bonus, score, reached_at, k)"
    );
    if lines.is_empty() {
        return Ok(());
    }
    if tx.dialect() == Dialect::Sqlite {
        let rows = lines.into_iter().map(Saved::row).collect();
        return tx.execute_each(ONE, rows).await.map(|_| ());
    }
    let reached = |line: &Saved| Timestamp::from(line.entry.reached_at);
    let values = params![
        lines
            .iter()
            .map(|line| line.entry.user_id)
            .collect::<Vec<_>>(),
        lines.iter().map(|line| line.board).collect::<Vec<_>>(),
        lines.iter().map(Saved::points).collect::<Vec<_>>(),
        lines.iter().map(|line| line.bonus).collect::<Vec<_>>(),
        lines
            .iter()
            .map(|line| line.entry.score)
            .collect::<Vec<_>>(),
        lines.iter().map(reached).collect::<Vec<_>>(),
        lines
            .iter()
            .map(|line| hex(&line.entry.key()))
            .collect::<Vec<_>>()
    ];
    tx.execute(ALL, values).await.map(|_| ())
}

impl Saved {
    fn points(&self) -> i64 {
        self.entry.score.saturating_sub(self.bonus)
    }

    fn row(self) -> Vec<Value> {
        params![
            self.entry.user_id,
            self.board,
            self.points(),
            self.bonus,
            self.entry.score,
            Timestamp::from(self.entry.reached_at),
            self.entry.key().to_vec()
        ]
    }
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
