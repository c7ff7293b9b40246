//! What is taken out of sagas: what they hold of a user who is gone, and those that ended long ago.

use database::{Database, Error, Sql, Timestamp, Tx, params};
use uuid::Uuid;

/// Marks all sagas of a user, those that still run included; the ids of those that have ended.
pub(crate) async fn mark(tx: &mut Tx, user_id: Uuid, since: Timestamp) -> Result<Vec<Uuid>, Error> {
    let marked: Vec<(Uuid, Option<Timestamp>)> = tx
        .fetch_all(
            "UPDATE sagas SET erase_since = $2 WHERE data ->> 'userId' = $1
             RETURNING id, ended_at",
            params![user_id.to_string(), since],
        )
        .await?;
    let ended = marked.into_iter().filter(|(_, at)| at.is_some());
    Ok(ended.map(|(id, _)| id).collect())
}

/// Some sagas that were marked while they ran and have ended since.
pub(crate) async fn marked_and_ended(database: &Database, limit: i64) -> Result<Vec<Uuid>, Error> {
    let rows: Vec<(Uuid,)> = database
        .fetch_all(
            "SELECT id FROM sagas WHERE erase_since IS NOT NULL AND ended_at IS NOT NULL
             ORDER BY id LIMIT $1",
            params![limit],
        )
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Takes out of ended sagas what they were started with, what their steps gave back and what moved
/// them; how each step ended, and when, stays.
pub(crate) async fn erase(tx: &mut Tx, ids: Vec<Uuid>) -> Result<(), Error> {
    const SAGAS: Sql = Sql::by_dialect(
        "UPDATE sagas SET data = '{\"erased\": true}', erase_since = NULL,
             steps = (SELECT COALESCE(jsonb_agg(step - 'result' ORDER BY number), '[]'::jsonb)
                      FROM jsonb_array_elements(steps) WITH ORDINALITY AS each (step, number))
         WHERE id = ANY($1) AND ended_at IS NOT NULL",
        "UPDATE sagas SET data = '{\"erased\": true}', erase_since = NULL,
             steps = (SELECT json_group_array(json_remove(step.value, '$.result'))
                      FROM json_each(sagas.steps) AS step)
         WHERE id IN (SELECT unhex(value) FROM json_each($1)) AND ended_at IS NOT NULL",
    );
    const TRANSITIONS: Sql = Sql::by_dialect(
        "UPDATE saga_transitions SET inputs = '[]' WHERE saga_id = ANY($1)",
        "UPDATE saga_transitions SET inputs = '[]'
         WHERE saga_id IN (SELECT unhex(value) FROM json_each($1))",
    );
    const REPLIES: Sql = Sql::by_dialect(
        "DELETE FROM saga_replies WHERE saga_id = ANY($1)",
        "DELETE FROM saga_replies WHERE saga_id IN (SELECT unhex(value) FROM json_each($1))",
    );
    if ids.is_empty() {
        return Ok(());
    }
    tx.execute(SAGAS, params![ids.clone()]).await?;
    tx.execute(TRANSITIONS, params![ids.clone()]).await?;
    tx.execute(REPLIES, params![ids]).await?;
    Ok(())
}

/// Removes sagas, with their history, that completed or were compensated before `before`, the
/// oldest first; how many.
pub(crate) async fn prune(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM sagas WHERE id IN (
             SELECT id FROM sagas
             WHERE ended_at IS NOT NULL AND ended_at < $1
               AND state IN ('completed', 'compensated')
             ORDER BY ended_at LIMIT $2)",
        params![before, limit],
    )
    .await
}
