//! Stats: what was imported, and what was counted here.

use std::collections::BTreeSet;

use database::{Database, Dialect, Json, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

use super::{json, recording::Recording};
use crate::{domain::Stats, tally::Tally};

/// A player's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// What the player did before, elsewhere.
    pub base: Stats,
    /// What the player did here.
    pub own: Tally,
}

impl Counted {
    /// What the player is shown.
    #[must_use]
    pub fn total(&self) -> Stats {
        self.own.onto(&self.base)
    }
}

type Row = (Json<Stats>, Json<Tally>);

/// Whose it is, what is counted, and PostgreSQL's time.
type HeldRow = (Uuid, Json<Stats>, Json<Tally>, Option<Timestamp>);

fn counted((base, own): Row) -> Counted {
    Counted {
        base: base.0,
        own: own.0,
    }
}

/// The player's row, held until the transaction ends, and the time; opened where there is none.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, user_id: Uuid) -> Result<(Counted, Timestamp)> {
    // PostgreSQL's clock comes along; SQLite's is this machine's, and nobody else writes there meanwhile.
    const LOCK: Sql = Sql::by_dialect(
        "SELECT base, own, clock_timestamp() FROM stats WHERE user_id = $1 FOR UPDATE",
        "SELECT base, own, NULL FROM stats WHERE user_id = $1",
    );
    const OPEN: &str = "INSERT INTO stats (user_id, base, own, version) VALUES ($1, $2, $3, 0)
         ON CONFLICT (user_id) DO NOTHING";
    let mut row = tx.fetch_optional(LOCK, params![user_id]).await?;
    if row.is_none() {
        let nothing = params![user_id, json(&Stats::default())?, json(&Tally::default())?];
        tx.execute(OPEN, nothing).await?;
        row = tx.fetch_optional(LOCK, params![user_id]).await?;
    }
    let (base, own, now): (Json<Stats>, Json<Tally>, Option<Timestamp>) =
        row.ok_or(database::Error::NotFound)?;
    let now = now.unwrap_or_else(Timestamp::system);
    let counted = counted((base, own));
    tx.deferred::<Recording>().hold(user_id, counted.clone());
    Ok((counted, now))
}

/// Holds those of the players' rows that are there and that nobody else holds, until the transaction
/// ends: waits for nobody. Whose they are, and the time.
///
/// # Errors
/// As the database says.
pub async fn lock_free(tx: &mut Tx, players: &[Uuid]) -> Result<(BTreeSet<Uuid>, Timestamp)> {
    const LOCK: &str = "SELECT free.user_id, free.base, free.own, clock_timestamp()
         FROM unnest($1::UUID[]) AS given (user_id)
         CROSS JOIN LATERAL (SELECT user_id, base, own FROM stats
                             WHERE stats.user_id = given.user_id
                             LIMIT 1 FOR UPDATE SKIP LOCKED) AS free";
    // Nobody else writes meanwhile.
    const READ: &str = "SELECT user_id, base, own, NULL FROM stats WHERE user_id = $1";
    let mut rows: Vec<HeldRow> = Vec::new();
    match tx.dialect() {
        Dialect::Postgres => rows = tx.fetch_all(LOCK, params![players.to_vec()]).await?,
        Dialect::Sqlite => {
            for user_id in players {
                rows.extend(tx.fetch_optional(READ, params![*user_id]).await?);
            }
        }
    }
    let mut now = Timestamp::system();
    let mut held = BTreeSet::new();
    for (user_id, base, own, at) in rows {
        now = at.unwrap_or(now);
        let counted = counted((base, own));
        tx.deferred::<Recording>().hold(user_id, counted);
        held.insert(user_id);
    }
    Ok((held, now))
}

/// The player's row, which the transaction holds.
///
/// # Errors
/// As the database says.
pub async fn held(tx: &mut Tx, user_id: Uuid) -> Result<Counted> {
    if let Some(counted) = tx.deferred::<Recording>().held(user_id) {
        return Ok(counted);
    }
    let row: Row = tx
        .fetch_one(
            "SELECT base, own FROM stats WHERE user_id = $1",
            params![user_id],
        )
        .await?;
    Ok(counted(row))
}

/// Holds the player's row until the transaction ends, where there is one.
///
/// # Errors
/// As the database says.
pub async fn hold(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    let sql = "UPDATE stats SET version = version + 1 WHERE user_id = $1";
    tx.execute(sql, params![user_id]).await.map(|_| ())
}

/// Stores what the player did here; a player who was forgotten meanwhile stays forgotten.
///
/// # Errors
/// As the database says.
pub async fn save(tx: &mut Tx, user_id: Uuid, own: &Tally) -> Result<()> {
    tx.execute(
        "UPDATE stats SET own = $2 WHERE user_id = $1",
        params![user_id, json(own)?],
    )
    .await
    .map(|_| ())
}

/// Sets a player back to `own` as of `at`. What the monolith counted before `at` is gone with it and
/// is not imported any more.
///
/// # Errors
/// As the database says.
pub async fn reset(tx: &mut Tx, user_id: Uuid, own: &Tally, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE stats SET own = $2, version = version + 1,
             base = CASE WHEN base_at > $4 THEN base ELSE $3 END,
             base_at = CASE WHEN base_at > $4 THEN base_at ELSE $4 END
         WHERE user_id = $1",
        params![user_id, json(own)?, json(&Stats::default())?, at],
    )
    .await
    .map(|_| ())
}

/// What is counted for a player; nothing where there is no row.
///
/// # Errors
/// As the database says.
pub async fn find(db: &Database, user_id: Uuid) -> Result<Counted> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT base, own FROM stats WHERE user_id = $1",
            params![user_id],
        )
        .await?;
    Ok(row.map(counted).unwrap_or_default())
}

/// Takes over the monolith's counts as of `at`; whether they were news. What was counted here
/// stays, and so does an import that is as new.
///
/// # Errors
/// As the database says.
pub async fn import(tx: &mut Tx, user_id: Uuid, base: &Stats, at: Timestamp) -> Result<bool> {
    let touched = tx
        .execute(
            "INSERT INTO stats (user_id, base, base_at, own, version) VALUES ($1, $2, $4, $3, 0)
             ON CONFLICT (user_id) DO UPDATE SET
                 base = excluded.base, base_at = excluded.base_at, version = stats.version + 1
             WHERE stats.base_at IS NULL OR stats.base_at < excluded.base_at",
            params![user_id, json(base)?, json(&Tally::default())?, at],
        )
        .await?;
    Ok(touched > 0)
}

/// Forgets a player.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute("DELETE FROM stats WHERE user_id = $1", params![user_id])
        .await
        .map(|_| ())
}

/// Forgets at most `limit` players who left: what a replica wrote that did not know yet; how many.
///
/// # Errors
/// As the database says.
pub async fn expel(tx: &mut Tx, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM stats WHERE user_id IN (
             SELECT s.user_id FROM stats s JOIN departed_users d ON d.user_id = s.user_id LIMIT $1)",
        params![limit],
    )
    .await
}

/// A page of players in the order of their ids, for the audit.
///
/// # Errors
/// As the database says.
pub async fn page(db: &Database, after: Uuid, limit: i64) -> Result<Vec<(Uuid, Counted)>> {
    let rows: Vec<(Uuid, Json<Stats>, Json<Tally>)> = db
        .fetch_all(
            "SELECT user_id, base, own FROM stats WHERE user_id > $1 ORDER BY user_id LIMIT $2",
            params![after, limit],
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, base, own)| (id, counted((base, own))))
        .collect())
}
