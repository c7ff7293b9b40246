//! How many stand above a key: the nodes before it, level by level, and the lines before it in its leaf.

use database::{Result, Tx, params};

use super::NOTHING;
use crate::{
    domain::{Board, Key},
    store::entries::hex,
};

/// The part of a statement that counts who stands above a key: common table expressions `n2`, `n1`,
/// `n0` and `above` (one row, column `n`). The statement has one called `own` with the key as `k`
/// before them. Board and no bytes are `$1` and `$2` unless it says otherwise. Without nodes it counts
/// all.
macro_rules! above {
    () => {
        above!("$1", "$2")
    };
    ($board:literal, $nothing:literal) => {
        concat!(
            "n2(k) AS (SELECT first_key FROM rank_nodes WHERE board = ",
            $board,
            " AND level = 2
                   AND first_key <= (SELECT k FROM own) ORDER BY first_key DESC LIMIT 1),
             n1(k) AS (SELECT first_key FROM rank_nodes WHERE board = ",
            $board,
            " AND level = 1
                   AND first_key <= (SELECT k FROM own) ORDER BY first_key DESC LIMIT 1),
             n0(k) AS (SELECT first_key FROM rank_nodes WHERE board = ",
            $board,
            " AND level = 0
                   AND first_key <= (SELECT k FROM own) ORDER BY first_key DESC LIMIT 1),
             above(n) AS (SELECT CAST(
                 COALESCE((SELECT SUM(members) FROM rank_nodes WHERE board = ",
            $board,
            " AND level = 2
                           AND first_key < (SELECT k FROM n2)), 0)
               + COALESCE((SELECT SUM(members) FROM rank_nodes WHERE board = ",
            $board,
            " AND level = 1 AND first_key >= (SELECT k FROM n2)
                           AND first_key < (SELECT k FROM n1)), 0)
               + COALESCE((SELECT SUM(members) FROM rank_nodes WHERE board = ",
            $board,
            " AND level = 0 AND first_key >= (SELECT k FROM n1)
                           AND first_key < (SELECT k FROM n0)), 0)
               + (SELECT COUNT(*) FROM standings WHERE board = ",
            $board,
            "
                    AND rank_key >= COALESCE((SELECT k FROM n0), ",
            $nothing,
            ")
                    AND rank_key < (SELECT k FROM own)) AS BIGINT))"
        )
    };
}
pub(in crate::store) use above;

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

/// How many stand above each of these keys of boards, in one statement; for PostgreSQL.
///
/// # Errors
/// As the database says.
pub async fn all_above(tx: &mut Tx, keys: &[(i64, Key)]) -> Result<Vec<((i64, Key), i64)>> {
    const ALL: &str = concat!(
        "SELECT asked.board, asked.k, (WITH own(k) AS (SELECT asked.k), ",
        above!("asked.board", "''::BYTEA"),
        " SELECT n FROM above)
         FROM (SELECT board, decode(k, 'hex') AS k
               FROM unnest($1::BIGINT[], $2::TEXT[]) AS given (board, k)) AS asked"
    );
    let boards: Vec<i64> = keys.iter().map(|(board, _)| *board).collect();
    let texts: Vec<String> = keys.iter().map(|(_, key)| hex(key)).collect();
    let rows: Vec<(i64, Vec<u8>, i64)> = tx.fetch_all(ALL, params![boards, texts]).await?;
    let counted = rows.into_iter().filter_map(|(board, key, above)| {
        let key = Key::try_from(key).ok()?;
        Some(((board, key), above))
    });
    Ok(counted.collect())
}
