//! Places without counting: a counted tree of three levels over each board's keys.
//!
//! A node of level 0 counts the lines whose key is at least its `first_key` and below that of the
//! next node of its level; one of a level above counts the lines of its children, whose keys begin
//! where its own do. Whoever stands above a key is the nodes before it, level by level, and the
//! lines before it in its leaf: with a fan-out of F, at most about 3 F rows, plus the nodes of the
//! highest level, of which there is one for each F³ / 2 lines.
//!
//! The idea is that of order statistics in a B-tree (Knuth, vol. 3, 6.2.3, exercise; "counted
//! B-trees"). Nodes split when they have more than F children and go when they are empty; they do
//! not merge, since a rebuild is quick and no sum grows with it.

use std::collections::{BTreeMap, BTreeSet};

use database::{Result, Tx, params};

use crate::domain::{AFTER_ALL, Board, Key};

/// The highest level.
const TOP_LEVEL: i64 = 2;

/// Moves of one statement; as many as an answer makes.
const CHUNK: usize = 3;

/// Sorts before every key: where the first node of each level begins.
pub(super) const NOTHING: &[u8] = &[];

/// How the tree grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Children of a node at most.
    pub fan_out: i64,
}

/// One line's change of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// On which board.
    pub board: Board,
    /// Its place before; none when it is new.
    pub from: Option<Key>,
    /// Its place after; none when it is gone.
    pub to: Option<Key>,
}

#[derive(Clone, Debug, database::Record)]
struct Node {
    id: i64,
    board: i64,
    level: i64,
    first_key: Vec<u8>,
    members: i64,
}

impl Default for Tree {
    /// Wide enough that a million lines need three levels, narrow enough that every sum reads a
    /// page or two.
    fn default() -> Self {
        Self { fan_out: 128 }
    }
}

/// The part of a statement that counts who stands above a key: common table expressions `n2`, `n1`,
/// `n0` and `above` (one row, column `n`). The statement has one called `own` with the key as `k`
/// before them; `$1` is the board and `$2` no bytes. Without nodes it counts all.
macro_rules! above {
    () => {
        "n2(k) AS (SELECT first_key FROM rank_nodes WHERE board = $1 AND level = 2
                   AND first_key <= (SELECT k FROM own) ORDER BY first_key DESC LIMIT 1),
         n1(k) AS (SELECT first_key FROM rank_nodes WHERE board = $1 AND level = 1
                   AND first_key <= (SELECT k FROM own) ORDER BY first_key DESC LIMIT 1),
         n0(k) AS (SELECT first_key FROM rank_nodes WHERE board = $1 AND level = 0
                   AND first_key <= (SELECT k FROM own) ORDER BY first_key DESC LIMIT 1),
         above(n) AS (SELECT CAST(
             COALESCE((SELECT SUM(members) FROM rank_nodes WHERE board = $1 AND level = 2
                       AND first_key < (SELECT k FROM n2)), 0)
           + COALESCE((SELECT SUM(members) FROM rank_nodes WHERE board = $1 AND level = 1
                       AND first_key >= (SELECT k FROM n2) AND first_key < (SELECT k FROM n1)), 0)
           + COALESCE((SELECT SUM(members) FROM rank_nodes WHERE board = $1 AND level = 0
                       AND first_key >= (SELECT k FROM n1) AND first_key < (SELECT k FROM n0)), 0)
           + (SELECT COUNT(*) FROM standings WHERE board = $1
                AND rank_key >= COALESCE((SELECT k FROM n0), $2)
                AND rank_key < (SELECT k FROM own)) AS BIGINT))"
    };
}
pub(super) use above;

/// How many stand above a key.
///
/// # Errors
/// As the database says.
pub async fn count_above(tx: &mut Tx, board: Board, key: &Key) -> Result<i64> {
    let sql = concat!(
        "WITH own(k) AS (SELECT $3), ",
        above!(),
        " SELECT n FROM above"
    );
    // PostgreSQL takes the type of a bare parameter from what is bound.
    let (above,): (i64,) = tx
        .fetch_one(sql, params![board.id(), NOTHING.to_vec(), key.to_vec()])
        .await?;
    Ok(above)
}

impl Tree {
    /// Counts lines at their new places. All lines of these boards must stand where they belong
    /// by then, and all that moved since the last count be among `moves`. Boards without nodes get
    /// them with their first line.
    ///
    /// # Errors
    /// As the database says.
    pub async fn shift(self, tx: &mut Tx, moves: &[Move]) -> Result<()> {
        let mut touched = BTreeMap::new();
        for moves in moves.chunks(CHUNK) {
            for node in count(tx, moves).await? {
                touched.insert(node.id, node);
            }
        }
        // Only now, when every line is counted, the lines tell where a node's middle is.
        for node in touched.values() {
            if node.members == 0 && !node.first_key.is_empty() {
                prune(tx, node).await?;
            } else if node.level == 0 {
                self.split(tx, node).await?;
            }
        }
        let new = moves.iter().filter(|one| one.from.is_none());
        for board in new.map(|one| one.board.id()).collect::<BTreeSet<_>>() {
            // A line that is new on a board with nodes changes one, unless another balances it.
            let is_counted = touched.values().any(|node| node.board == board);
            if !is_counted && !has_nodes(tx, board).await? {
                self.build(tx, board).await?;
            }
        }
        Ok(())
    }

    /// Halves a leaf while it has too many lines, and each node above that has too many children
    /// then.
    async fn split(self, tx: &mut Tx, leaf: &Node) -> Result<()> {
        let mut leaf = leaf.clone();
        while leaf.members > self.fan_out {
            let upper = (leaf.members / 2).min(self.fan_out);
            let (middle,): (Vec<u8>,) = tx
                .fetch_one(
                    "SELECT rank_key FROM standings WHERE board = $1 AND rank_key >= $2
                     ORDER BY rank_key LIMIT 1 OFFSET $3",
                    params![leaf.board, leaf.first_key.clone(), leaf.members - upper],
                )
                .await?;
            cut(tx, &leaf, &middle, upper).await?;
            leaf.members -= upper;
            for level in 1..=TOP_LEVEL {
                if !self.split_above(tx, leaf.board, level, &middle).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Halves the node of a level above the leaves that `key` belongs to, if it has too many
    /// children; whether it had.
    async fn split_above(self, tx: &mut Tx, board: i64, level: i64, key: &[u8]) -> Result<bool> {
        let node = parent(tx, board, level, key).await?;
        let next = after(tx, &node).await?;
        let (children,): (i64,) = tx
            .fetch_one(
                "SELECT COUNT(*) FROM rank_nodes
                 WHERE board = $1 AND level = $2 AND first_key >= $3 AND first_key < $4",
                params![board, level - 1, node.first_key.clone(), next.clone()],
            )
            .await?;
        if children <= self.fan_out {
            return Ok(false);
        }
        let (middle,): (Vec<u8>,) = tx
            .fetch_one(
                "SELECT first_key FROM rank_nodes WHERE board = $1 AND level = $2
                   AND first_key >= $3 ORDER BY first_key LIMIT 1 OFFSET $4",
                params![board, level - 1, node.first_key.clone(), children / 2],
            )
            .await?;
        let (members,): (i64,) = tx
            .fetch_one(
                "SELECT CAST(SUM(members) AS BIGINT) FROM rank_nodes
                 WHERE board = $1 AND level = $2 AND first_key >= $3 AND first_key < $4",
                params![board, level - 1, middle.clone(), next],
            )
            .await?;
        cut(tx, &node, &middle, members).await?;
        Ok(true)
    }

    /// Makes a board's nodes from its lines; what was there before goes.
    ///
    /// # Errors
    /// As the database says.
    pub async fn build(self, tx: &mut Tx, board: i64) -> Result<()> {
        clear(tx, board).await?;
        // Half full, so that the next lines do not split every node.
        let fill = (self.fan_out / 2).max(1);
        tx.execute(
            "WITH numbered AS (
                 SELECT rank_key, ROW_NUMBER() OVER (ORDER BY rank_key) - 1 AS n
                 FROM standings WHERE board = $1),
             firsts AS (
                 SELECT rank_key, n, LEAD(n) OVER (ORDER BY n) AS next FROM numbered
                 WHERE n % $2 = 0)
             INSERT INTO rank_nodes (board, level, first_key, members)
             SELECT $1, 0, CASE WHEN n = 0 THEN $3 ELSE rank_key END,
                    COALESCE(next, (SELECT COUNT(*) FROM numbered)) - n FROM firsts",
            params![board, fill, NOTHING.to_vec()],
        )
        .await?;
        for level in 1..=TOP_LEVEL {
            tx.execute(
                "WITH numbered AS (
                     SELECT first_key, ROW_NUMBER() OVER (ORDER BY first_key) - 1 AS n,
                            CAST(SUM(members) OVER (ORDER BY first_key) - members AS BIGINT)
                                AS before
                     FROM rank_nodes WHERE board = $1 AND level = $2),
                 firsts AS (
                     SELECT first_key, before, LEAD(before) OVER (ORDER BY n) AS next FROM numbered
                     WHERE n % $3 = 0)
                 INSERT INTO rank_nodes (board, level, first_key, members)
                 SELECT $1, $4, first_key,
                        COALESCE(next, (SELECT COUNT(*) FROM standings WHERE board = $1)) - before
                 FROM firsts",
                params![board, level - 1, fill, level],
            )
            .await?;
        }
        Ok(())
    }
}

/// How many nodes of a board do not count what is there.
///
/// # Errors
/// As the database says.
pub async fn wrong(tx: &mut Tx, board: i64) -> Result<i64> {
    const LEAVES: &str = "WITH ranges AS (
             SELECT first_key, members,
                    COALESCE(LEAD(first_key) OVER (ORDER BY first_key), $2) AS next
             FROM rank_nodes WHERE board = $1 AND level = 0)
         SELECT COUNT(*) FROM ranges r WHERE r.members <> (
             SELECT COUNT(*) FROM standings s
             WHERE s.board = $1 AND s.rank_key >= r.first_key AND s.rank_key < r.next)";
    const INNER: &str = "WITH ranges AS (
             SELECT first_key, members,
                    COALESCE(LEAD(first_key) OVER (ORDER BY first_key), $2) AS next
             FROM rank_nodes WHERE board = $1 AND level = $3)
         SELECT COUNT(*) FROM ranges r WHERE r.members <> (
             SELECT COALESCE(SUM(c.members), 0) FROM rank_nodes c
             WHERE c.board = $1 AND c.level = $3 - 1
               AND c.first_key >= r.first_key AND c.first_key < r.next)";
    let (mut wrong,): (i64,) = tx
        .fetch_one(LEAVES, params![board, AFTER_ALL.to_vec()])
        .await?;
    for level in 1..=TOP_LEVEL {
        let (inner,): (i64,) = tx
            .fetch_one(INNER, params![board, AFTER_ALL.to_vec(), level])
            .await?;
        wrong += inner;
    }
    Ok(wrong)
}

/// Whether a board has nodes.
///
/// # Errors
/// As the database says.
pub async fn has_nodes(tx: &mut Tx, board: i64) -> Result<bool> {
    let found: Option<(i64,)> = tx
        .fetch_optional(
            "SELECT id FROM rank_nodes WHERE board = $1 AND level = 0 LIMIT 1",
            params![board],
        )
        .await?;
    Ok(found.is_some())
}

/// Removes a board's nodes; places on it are counted until they are made again.
///
/// # Errors
/// As the database says.
pub async fn clear(tx: &mut Tx, board: i64) -> Result<()> {
    tx.execute("DELETE FROM rank_nodes WHERE board = $1", params![board])
        .await
        .map(|_| ())
}

/// One statement for all levels: −1 where a line was, +1 where it is; nothing where both are the
/// same node.
async fn count(tx: &mut Tx, moves: &[Move]) -> Result<Vec<Node>> {
    const COUNT: &str = "WITH moved(board, k, delta) AS (
             VALUES ($1, $2, $3), ($4, $5, $6), ($7, $8, $9),
                    ($10, $11, $12), ($13, $14, $15), ($16, $17, $18)),
         levels(level) AS (VALUES (0), (1), (2)),
         found(id, delta) AS (
             SELECT (SELECT n.id FROM rank_nodes n
                     WHERE n.board = m.board AND n.level = l.level AND n.first_key <= m.k
                     ORDER BY n.first_key DESC LIMIT 1), m.delta
             FROM moved m, levels l WHERE m.board IS NOT NULL),
         summed(id, delta) AS (
             SELECT id, CAST(SUM(delta) AS BIGINT) FROM found GROUP BY id HAVING SUM(delta) <> 0)
         UPDATE rank_nodes SET members = members + summed.delta FROM summed
         WHERE rank_nodes.id = summed.id
         RETURNING rank_nodes.id, rank_nodes.board, rank_nodes.level, rank_nodes.first_key,
                   rank_nodes.members";
    let mut values = Vec::with_capacity(CHUNK * 2 * 3);
    for one in moves.iter().filter(|one| one.from != one.to) {
        let ends = [(one.from, -1_i64), (one.to, 1)];
        for (key, delta) in ends.into_iter().filter_map(|(k, d)| Some((k?, d))) {
            values.extend(params![one.board.id(), key.to_vec(), delta]);
        }
    }
    if values.is_empty() {
        return Ok(Vec::new());
    }
    while values.len() < CHUNK * 2 * 3 {
        values.extend(params![None::<i64>, None::<Vec<u8>>, None::<i64>]);
    }
    tx.fetch_all(COUNT, values).await
}

/// Moves the upper `members` of a node into a new one that begins at `middle`.
async fn cut(tx: &mut Tx, node: &Node, middle: &[u8], members: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO rank_nodes (board, level, first_key, members) VALUES ($1, $2, $3, $4)",
        params![node.board, node.level, middle.to_vec(), members],
    )
    .await?;
    tx.execute(
        "UPDATE rank_nodes SET members = members - $2 WHERE id = $1",
        params![node.id, members],
    )
    .await
    .map(|_| ())
}

/// Removes the empty nodes that begin where this one does. One stays while a node above it that is
/// not empty counts from the same key: its `first_key` must be one of the level below.
async fn prune(tx: &mut Tx, node: &Node) -> Result<()> {
    const PRUNE: &str = "DELETE FROM rank_nodes AS n WHERE n.board = $1 AND n.level IN (0, 1, 2)
           AND n.first_key = $2 AND n.members = 0
           AND NOT EXISTS (SELECT 1 FROM rank_nodes p
                           WHERE p.board = $1 AND p.level IN (1, 2) AND p.level > n.level
                             AND p.first_key = $2 AND p.members > 0)";
    tx.execute(PRUNE, params![node.board, node.first_key.clone()])
        .await
        .map(|_| ())
}

/// The node of a level that a key belongs to.
async fn parent(tx: &mut Tx, board: i64, level: i64, key: &[u8]) -> Result<Node> {
    tx.fetch_one(
        "SELECT id, board, level, first_key, members FROM rank_nodes
         WHERE board = $1 AND level = $2 AND first_key <= $3 ORDER BY first_key DESC LIMIT 1",
        params![board, level, key.to_vec()],
    )
    .await
}

/// Where the next node of the same level begins.
async fn after(tx: &mut Tx, node: &Node) -> Result<Vec<u8>> {
    let next: Option<(Vec<u8>,)> = tx
        .fetch_optional(
            "SELECT first_key FROM rank_nodes WHERE board = $1 AND level = $2 AND first_key > $3
             ORDER BY first_key LIMIT 1",
            params![node.board, node.level, node.first_key.clone()],
        )
        .await?;
    Ok(next.map_or_else(|| AFTER_ALL.to_vec(), |(key,)| key))
}
