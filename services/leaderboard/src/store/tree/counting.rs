//! Moving lines' counts from node to node: on all levels −1 where a line was and +1 where it is, nothing
//! where both are the same node.

use database::{Dialect, Result, Tx, params};

use super::{Move, Node};
use crate::{domain::Key, store::entries::hex};

/// Moves of one statement where there are no arrays; as many as an answer makes.
const CHUNK: usize = 3;

/// A statement over the lines' ends: board, key, −1 or 1. It returns the nodes that count otherwise now.
macro_rules! count {
    ($ends:literal) => {
        concat!(
            "WITH moved(board, k, delta) AS (",
            $ends,
            "),
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
                       rank_nodes.members"
        )
    };
}

/// Counts these moves; the nodes that count otherwise now, a later state after an earlier one.
pub(super) async fn count(tx: &mut Tx, moves: &[Move]) -> Result<Vec<Node>> {
    let mut ends = Vec::new();
    for one in moves.iter().filter(|one| one.from != one.to) {
        let board = one.board.id();
        ends.extend(one.from.map(|key| (board, key, -1_i64)));
        ends.extend(one.to.map(|key| (board, key, 1)));
    }
    if ends.is_empty() {
        return Ok(Vec::new());
    }
    match tx.dialect() {
        Dialect::Postgres => count_all(tx, &ends).await,
        Dialect::Sqlite => {
            let mut nodes = Vec::new();
            for ends in ends.chunks(CHUNK * 2) {
                nodes.extend(count_some(tx, ends).await?);
            }
            Ok(nodes)
        }
    }
}

async fn count_all(tx: &mut Tx, ends: &[(i64, Key, i64)]) -> Result<Vec<Node>> {
    const COUNT: &str = count!(
        "SELECT board, decode(k, 'hex'), delta
         FROM unnest($1::BIGINT[], $2::TEXT[], $3::BIGINT[]) AS given (board, k, delta)"
    );
    let boards: Vec<i64> = ends.iter().map(|end| end.0).collect();
    let keys: Vec<String> = ends.iter().map(|end| hex(&end.1)).collect();
    let deltas: Vec<i64> = ends.iter().map(|end| end.2).collect();
    tx.fetch_all(COUNT, params![boards, keys, deltas]).await
}

async fn count_some(tx: &mut Tx, ends: &[(i64, Key, i64)]) -> Result<Vec<Node>> {
    const COUNT: &str = count!(
        "VALUES ($1, $2, $3), ($4, $5, $6), ($7, $8, $9),
                ($10, $11, $12), ($13, $14, $15), ($16, $17, $18)"
    );
    let mut values = Vec::with_capacity(CHUNK * 2 * 3);
    for (board, key, delta) in ends {
        values.extend(params![*board, key.to_vec(), *delta]);
    }
    while values.len() < CHUNK * 2 * 3 {
        values.extend(params![None::<i64>, None::<Vec<u8>>, None::<i64>]);
    }
    tx.fetch_all(COUNT, values).await
}
