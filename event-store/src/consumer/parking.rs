//! Events that their consumer could not process, set aside with the error: the dead letters.

mod retrying;

use std::collections::HashSet;

use contracts::Recorded;
use database::{Database, Error, Json, Sql, Timestamp, Tx, Value, params};
use faults::Write;
use serde::Serialize;
use uuid::Uuid;

pub use retrying::{Retried, RetriedAll};
pub(super) use retrying::{Target, retry, retry_all};

use super::checkpoint::hold;

/// Errors are shown in tables; the tail of a longer one is in the process's log.
const MAX_ERROR: usize = 2_000;

/// A parked event.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// Which consumer could not process it.
    pub consumer: String,
    /// The event's id.
    pub event_id: Uuid,
    /// Its place in the log.
    pub position: i64,
    /// Its stream.
    pub stream: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Why; of the last attempt.
    pub error: String,
    /// How often the handler tried it; 0 for one that only waits behind another of its stream.
    pub attempts: i64,
    /// Since when.
    pub parked_at: Timestamp,
    /// The whole event.
    pub event: Recorded,
}

type Row = (
    String,
    Uuid,
    i64,
    String,
    String,
    String,
    i64,
    Timestamp,
    Json<Recorded>,
);

fn parked(row: Row) -> Parked {
    let (consumer, event_id, position, stream, event_type, error, attempts, parked_at, event) = row;
    Parked {
        consumer,
        event_id,
        position,
        stream,
        event_type,
        error,
        attempts,
        parked_at,
        event: event.0,
    }
}

pub(super) async fn park(
    tx: &mut Tx,
    consumer: &str,
    event: &Recorded,
    error: &str,
    attempts: u32,
) -> Result<(), Error> {
    let now = tx.now().await?;
    let json = serde_json::to_value(event).map_err(|error| Error::Query(error.into()))?;
    let Recorded {
        position, event, ..
    } = event;
    tx.execute(
        "INSERT INTO parked_events
             (consumer, event_id, position, stream, type, event, error, attempts, parked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (consumer, event_id) DO NOTHING",
        params![
            consumer,
            event.id,
            *position,
            &event.stream,
            &event.event_type,
            json,
            shortened(error),
            attempts,
            now
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn park_behind(
    tx: &mut Tx,
    consumer: &str,
    event: &Recorded,
) -> Result<(), Error> {
    park(
        tx,
        consumer,
        event,
        "waits behind an earlier event of its stream",
        0,
    )
    .await
}

/// The streams in which something is parked.
pub(super) async fn streams(tx: &mut Tx, consumer: &str) -> Result<HashSet<String>, Error> {
    let sql = "SELECT DISTINCT stream FROM parked_events WHERE consumer = $1";
    let rows: Vec<(String,)> = tx.fetch_all(sql, params![consumer]).await?;
    Ok(rows.into_iter().map(|(stream,)| stream).collect())
}

/// Whether anything is parked.
pub(super) async fn any(database: &Database, consumer: &str) -> Result<bool, Error> {
    let sql = "SELECT position FROM parked_events WHERE consumer = $1 LIMIT 1";
    let row: Option<(i64,)> = database.fetch_optional(sql, params![consumer]).await?;
    Ok(row.is_some())
}

/// Parked events of these consumers, or of all, in the log's order.
pub(super) async fn list(
    database: &Database,
    consumers: Option<Vec<String>>,
    limit: u32,
) -> Result<Vec<Parked>, Error> {
    let sql = Sql::by_dialect(
        "SELECT consumer, event_id, position, stream, type, error, attempts, parked_at, event
         FROM parked_events WHERE $3 OR consumer = ANY($1)
         ORDER BY position, consumer LIMIT $2",
        "SELECT consumer, event_id, position, stream, type, error, attempts, parked_at, event
         FROM parked_events WHERE $3 OR consumer IN (SELECT value FROM json_each($1))
         ORDER BY position, consumer LIMIT $2",
    );
    let all = Value::Boolean(Some(consumers.is_none()));
    let values = params![consumers.unwrap_or_default(), limit, all];
    let rows: Vec<Row> = database.fetch_all(sql, values).await?;
    Ok(rows.into_iter().map(parked).collect())
}

pub(super) async fn find(
    database: &Database,
    consumer: &str,
    event_id: Uuid,
) -> Result<Option<Parked>, Error> {
    let row: Option<Row> = database
        .fetch_optional(
            "SELECT consumer, event_id, position, stream, type, error, attempts, parked_at, event
             FROM parked_events WHERE consumer = $1 AND event_id = $2",
            params![consumer, event_id],
        )
        .await?;
    Ok(row.map(parked))
}

/// Gives an event up; says whether it was there.
pub(super) async fn discard(
    database: &Database,
    consumer: &str,
    event_id: Uuid,
) -> Result<bool, Error> {
    let mut tx = database.begin().await?;
    hold(&mut tx, consumer).await?;
    let deleted = delete(&mut tx, consumer, event_id).await?;
    faults::before(Write::ConsumerDiscard);
    tx.commit().await?;
    faults::after(Write::ConsumerDiscard);
    Ok(deleted == 1)
}

/// The oldest event of the stream that is parked, when it only waited.
pub(super) async fn next_waiting(
    database: &Database,
    consumer: &str,
    stream: &str,
) -> Result<bool, Error> {
    let sql = "SELECT attempts FROM parked_events
               WHERE consumer = $1 AND stream = $2 ORDER BY position LIMIT 1";
    let row: Option<(i64,)> = database
        .fetch_optional(sql, params![consumer, stream])
        .await?;
    Ok(row == Some((0,)))
}

async fn delete(tx: &mut Tx, consumer: &str, event_id: Uuid) -> Result<u64, Error> {
    let sql = "DELETE FROM parked_events WHERE consumer = $1 AND event_id = $2";
    tx.execute(sql, params![consumer, event_id]).await
}

fn shortened(error: &str) -> String {
    error
        .chars()
        .filter(|c| *c != '\0')
        .take(MAX_ERROR)
        .collect()
}
