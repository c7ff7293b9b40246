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

mod counting;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use database::{Result, Tx, params};

pub(super) use self::reading::above;
pub use self::reading::{all_above, count_above};
use crate::domain::{AFTER_ALL, Board, Key};

/// The highest level.
const TOP_LEVEL: i64 = 2;

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

impl Tree {
    /// Counts lines at their new places. All lines of these boards must stand where they belong
    /// by then, and all that moved since the last count be among `moves`. Boards without nodes get
    /// them with their first line.
    ///
    /// # Errors
    /// As the database says.
    pub async fn shift(self, tx: &mut Tx, moves: &[Move]) -> Result<()> {
        let mut touched = BTreeMap::new();
        for node in counting::count(tx, moves).await? {
            touched.insert(node.id, node);
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
