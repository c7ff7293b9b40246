//! The `draws` table: what each user got from each pool since it was last used up.
//!
//! Invariant: draws of one user from one pool happen one after the other, behind the row's lock; so
//! two at once never get the same question before all of them came.

use std::time::Duration;

use database::{Database, Result, Sql, params};
use question::domain::{Drawn, Pool};
use uuid::Uuid;

use crate::store::users;

/// What a user got is forgotten so long after the last draw from its pool: whoever comes back after
/// a month may meet old questions again.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Old rows that a draw removes at most. More than one, so that they do not pile up where the
/// maintenance never runs.
const RETIRED: i64 = 20;

/// Rows that another draw is removing are left to it.
const RETIRE: Sql = Sql::by_dialect(
    "DELETE FROM draws WHERE (user_id, pool) IN (
         SELECT user_id, pool FROM draws WHERE drawn_at < $1
         ORDER BY drawn_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM draws WHERE (user_id, pool) IN (
         SELECT user_id, pool FROM draws WHERE drawn_at < $1 ORDER BY drawn_at LIMIT $2)",
);

/// What a draw came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// A question that did not come before, or the first of a new round.
    Question(Uuid),
    /// The pool is empty.
    Nothing,
    /// The user's account was deleted.
    UserLeft,
}

/// Draws one of `ids`, which are the pool's, for a user. `random` is uniform over all 64 bits.
///
/// # Errors
/// As the database says.
pub async fn draw(
    db: &Database,
    user_id: Uuid,
    pool: &Pool,
    ids: &[Uuid],
    random: u64,
) -> Result<Draw> {
    let key = pool.key();
    let mut tx = db.begin().await?;
    if users::was_deleted(&mut tx, user_id).await? {
        return Ok(Draw::UserLeft);
    }
    let now = tx.now().await?;
    tx.execute(RETIRE, params![now - KEPT, RETIRED]).await?;
    // Makes the row, or waits for whoever has it.
    let (drawn,): (Vec<u8>,) = tx
        .fetch_one(
            "INSERT INTO draws (user_id, pool, drawn, drawn_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, pool) DO UPDATE SET drawn_at = excluded.drawn_at
             RETURNING drawn",
            params![user_id, &key, Vec::<u8>::new(), now],
        )
        .await?;
    let mut drawn = Drawn::from_bytes(&drawn);
    let Some(id) = drawn.draw(ids, random) else {
        return Ok(Draw::Nothing);
    };
    tx.execute(
        "UPDATE draws SET drawn = $3 WHERE user_id = $1 AND pool = $2",
        params![user_id, &key, drawn.to_bytes()],
    )
    .await?;
    tx.commit().await?;
    Ok(Draw::Question(id))
}
