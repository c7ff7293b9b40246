//! Parking and resuming many sagas in a few statements: what they do is the same for each.

use std::collections::HashSet;

use database::{Sql, Timestamp, Tx, params};
use uuid::Uuid;

use super::{
    Row, columns,
    timers::{set_timers, timers_of},
};
use crate::{Error, Saga};

/// Parks those of `ids` that have not ended and are not parked for want of their definition; how many.
pub(crate) async fn park(
    tx: &mut Tx,
    ids: Vec<Uuid>,
    reason: &str,
    now: Timestamp,
) -> Result<usize, Error> {
    // Locked in one order by all replicas, so that none waits for another that waits for it.
    const PARK: Sql = Sql::by_dialect(
        "UPDATE sagas SET suspended = jsonb_build_object('phase', state, 'reason', $2::text),
             state = 'parked', version = version + 1, updated_at = $3
         WHERE id IN (SELECT id FROM sagas WHERE id = ANY($1) AND ended_at IS NULL
                          AND suspended IS NULL ORDER BY id FOR UPDATE)
         RETURNING id",
        "UPDATE sagas SET suspended = json_object('phase', state, 'reason', $2),
             state = 'parked', version = version + 1, updated_at = $3
         WHERE id IN (SELECT unhex(value) FROM json_each($1)) AND ended_at IS NULL
             AND suspended IS NULL
         RETURNING id",
    );
    const TIMERS: Sql = Sql::by_dialect(
        "DELETE FROM saga_deadlines WHERE saga_id = ANY($1)",
        "DELETE FROM saga_deadlines WHERE saga_id IN (SELECT unhex(value) FROM json_each($1))",
    );
    let parked: Vec<(Uuid,)> = tx.fetch_all(PARK, params![ids, reason, now]).await?;
    let parked: Vec<Uuid> = parked.into_iter().map(|(id,)| id).collect();
    let count = parked.len();
    if count > 0 {
        add_entries(tx, parked.clone()).await?;
        tx.execute(TIMERS, params![parked]).await?;
    }
    Ok(count)
}

/// Reads those of `ids` that are parked for want of their definition, and keeps them still until the
/// transaction ends.
pub(crate) async fn lock_parked(tx: &mut Tx, ids: Vec<Uuid>) -> Result<Vec<Saga>, Error> {
    const LOCK: Sql = Sql::by_dialect(
        columns!(
            "SELECT",
            "WHERE id = ANY($1) AND suspended IS NOT NULL ORDER BY id FOR UPDATE"
        ),
        columns!(
            "SELECT",
            "WHERE id IN (SELECT unhex(value) FROM json_each($1)) AND suspended IS NOT NULL"
        ),
    );
    let rows: Vec<Row> = tx.fetch_all(LOCK, params![ids]).await?;
    rows.into_iter().map(Row::into_saga).collect()
}

/// Which of them have replies that were kept. To be asked once they are locked, since whoever keeps
/// a reply has locked its saga.
pub(crate) async fn with_replies(tx: &mut Tx, ids: Vec<Uuid>) -> Result<HashSet<Uuid>, Error> {
    const KEPT: Sql = Sql::by_dialect(
        "SELECT DISTINCT saga_id FROM saga_replies WHERE saga_id = ANY($1)",
        "SELECT DISTINCT saga_id FROM saga_replies
         WHERE saga_id IN (SELECT unhex(value) FROM json_each($1))",
    );
    let rows: Vec<(Uuid,)> = tx.fetch_all(KEPT, params![ids]).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Takes locked sagas back to where they stood before their definition went missing.
pub(crate) async fn resume(tx: &mut Tx, sagas: &[Saga], now: Timestamp) -> Result<(), Error> {
    const RESUME: Sql = Sql::by_dialect(
        "UPDATE sagas SET state = suspended ->> 'phase', suspended = NULL,
             version = version + 1, updated_at = $2
         WHERE id = ANY($1)",
        "UPDATE sagas SET state = suspended ->> 'phase', suspended = NULL,
             version = version + 1, updated_at = $2
         WHERE id IN (SELECT unhex(value) FROM json_each($1))",
    );
    if sagas.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = sagas.iter().map(|saga| saga.id).collect();
    tx.execute(RESUME, params![ids.clone(), now]).await?;
    add_entries(tx, ids).await?;
    let mut timers = Vec::new();
    for saga in sagas {
        let resumed = saga.state.resumed();
        for ((step, timer), due) in resumed.iter().flat_map(timers_of) {
            timers.push((saga.id, step, timer, due));
        }
    }
    Ok(set_timers(tx, timers).await?)
}

/// Writes down the transitions that made these sagas' present versions, and that nothing came with.
async fn add_entries(tx: &mut Tx, ids: Vec<Uuid>) -> Result<(), Error> {
    const ENTRIES: Sql = Sql::by_dialect(
        "INSERT INTO saga_transitions (saga_id, version, at, state, inputs)
         SELECT id, version, updated_at, state, '[]'::jsonb FROM sagas WHERE id = ANY($1)",
        "INSERT INTO saga_transitions (saga_id, version, at, state, inputs)
         SELECT id, version, updated_at, state, '[]' FROM sagas
         WHERE id IN (SELECT unhex(value) FROM json_each($1))",
    );
    tx.execute(ENTRIES, params![ids]).await?;
    Ok(())
}
