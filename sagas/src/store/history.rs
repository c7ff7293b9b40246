//! What happened to sagas, what operators decided, and what waits for a missing definition.

use contracts::Recorded;
use database::{Database, Error as DatabaseError, Json, Record, Timestamp, Tx, params};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Error,
    definition::{Definition, OnTimeout},
    state::Policy,
};

/// One transition of a saga.
#[derive(Clone, Debug, Serialize, Record)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    version: i64,
    at: Timestamp,
    state: String,
    inputs: Json<Value>,
    cause_id: Option<Uuid>,
}

/// An operator's decision about timeouts.
#[derive(Clone, Debug, Serialize, Record)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyRow {
    pub(crate) definition: String,
    pub(crate) step: String,
    pub(crate) on_timeout: String,
    actor: String,
    reason: String,
    changed_at: Timestamp,
}

/// The newest transitions of a saga, in order.
pub(crate) async fn timeline(
    database: &Database,
    saga: Uuid,
    limit: i64,
) -> Result<Vec<Entry>, DatabaseError> {
    let mut entries: Vec<Entry> = database
        .fetch_all(
            "SELECT version, at, state, inputs, cause_id FROM saga_transitions
             WHERE saga_id = $1 ORDER BY version DESC LIMIT $2",
            params![saga, limit],
        )
        .await?;
    entries.reverse();
    Ok(entries)
}

/// Keeps a reply until the saga's definition is registered again.
pub(crate) async fn keep_reply(tx: &mut Tx, saga: Uuid, event: &Recorded) -> Result<(), Error> {
    let json = serde_json::to_value(event).map_err(|source| Error::Corrupt { saga, source })?;
    tx.execute(
        "INSERT INTO saga_replies (saga_id, event_id, position, event) VALUES ($1, $2, $3, $4)
         ON CONFLICT (saga_id, event_id) DO NOTHING",
        params![saga, event.event.id, event.position, json],
    )
    .await?;
    Ok(())
}

/// The replies that were kept for a saga, in the log's order.
pub(crate) async fn replies(tx: &mut Tx, saga: Uuid) -> Result<Vec<Recorded>, Error> {
    let rows: Vec<(Json<Value>,)> = tx
        .fetch_all(
            "SELECT event FROM saga_replies WHERE saga_id = $1 ORDER BY position",
            params![saga],
        )
        .await?;
    rows.into_iter()
        .map(|(Json(event),)| serde_json::from_value(event))
        .collect::<Result<_, _>>()
        .map_err(|source| Error::Corrupt { saga, source })
}

/// Forgets the replies that were kept for a saga.
pub(crate) async fn drop_replies(tx: &mut Tx, saga: Uuid) -> Result<(), Error> {
    tx.execute("DELETE FROM saga_replies WHERE saga_id = $1", params![saga])
        .await?;
    Ok(())
}

/// The operator's policies for one definition, for a saga that starts now.
pub(crate) async fn overrides(tx: &mut Tx, definition: &str) -> Result<Policy, DatabaseError> {
    let rows: Vec<(String, String)> = tx
        .fetch_all(
            "SELECT step, on_timeout FROM saga_policies WHERE definition = $1",
            params![definition],
        )
        .await?;
    let known = |(step, name): (String, String)| Some((step, OnTimeout::parse(&name)?));
    Ok(rows.into_iter().filter_map(known).collect())
}

/// All of the operator's policies.
pub(crate) async fn policies(database: &Database) -> Result<Vec<PolicyRow>, DatabaseError> {
    database
        .fetch_all(
            "SELECT definition, step, on_timeout, actor, reason, changed_at FROM saga_policies
             ORDER BY definition, step",
            params![],
        )
        .await
}

/// Decides what a timeout means for sagas that start from now on.
pub(crate) async fn set_policy(
    tx: &mut Tx,
    (definition, step): (&str, &str),
    on_timeout: OnTimeout,
    (actor, reason): (&str, &str),
    now: Timestamp,
) -> Result<(), DatabaseError> {
    tx.execute(
        "INSERT INTO saga_policies (definition, step, on_timeout, actor, reason, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (definition, step) DO UPDATE SET on_timeout = excluded.on_timeout,
             actor = excluded.actor, reason = excluded.reason, changed_at = excluded.changed_at",
        params![definition, step, on_timeout.as_str(), actor, reason, now],
    )
    .await?;
    Ok(())
}

/// Remembers a definition and the types of the replies to it.
pub(crate) async fn register_definition(
    tx: &mut Tx,
    definition: &Definition,
    reply_types: &[&str],
    now: Timestamp,
) -> Result<(), DatabaseError> {
    tx.execute(
        "INSERT INTO saga_definitions (name, version, reply_types, registered_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (name, version) DO UPDATE SET reply_types = excluded.reply_types",
        params![
            definition.name(),
            definition.version(),
            serde_json::json!(reply_types),
            now
        ],
    )
    .await?;
    Ok(())
}

/// The types of replies to every definition that was ever registered here.
pub(crate) async fn known_reply_types(
    database: &Database,
) -> Result<Vec<(String, u32, Vec<String>)>, DatabaseError> {
    let rows: Vec<(String, i64, Json<Vec<String>>)> = database
        .fetch_all(
            "SELECT name, version, reply_types FROM saga_definitions",
            params![],
        )
        .await?;
    let version = |version| u32::try_from(version).unwrap_or(u32::MAX);
    Ok(rows
        .into_iter()
        .map(|(name, v, Json(types))| (name, version(v), types))
        .collect())
}
