//! The relay's SQL.

use std::time::Duration;

use contracts::Event;
use database::{Database, Error, Json, Sql, Timestamp, Tx, params};
use faults::Write;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Append,
    lease::{Fence, Lease},
};

/// The oldest rows that one pruning looks at: some milliseconds of deleting.
const PRUNE_AT_ONCE: i64 = 5_000;

/// An event that is not in the log yet.
pub(super) struct Row {
    pub(super) sequence: i64,
    pub(super) event: Event,
}

impl Row {
    /// What the log is asked to take.
    pub(super) fn append(&self) -> Append {
        Append::exact(self.event.clone())
    }

    pub(super) fn sent(&self, position: i64) -> Sent {
        Sent {
            sequence: self.sequence,
            position,
        }
    }
}

/// A row and where the log put it.
pub(super) struct Sent {
    pub(super) sequence: i64,
    position: i64,
}

/// An outbox as an operator sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutboxStatus {
    /// Events that are not in the log.
    pub(crate) unsent: i64,
    /// Age of the oldest of them.
    #[serde(rename = "oldestSeconds", serialize_with = "seconds")]
    pub(crate) oldest: Option<Duration>,
    /// Streams that stand still.
    pub(crate) stuck: i64,
}

/// An event that the log refused.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stuck {
    pub(crate) id: Uuid,
    pub(crate) stream: String,
    pub(crate) version: i64,
    pub(crate) error: String,
    pub(crate) written_at: Timestamp,
}

/// Rows to send, in outbox order, without those that are `known` to be sent and without the streams that
/// stand still or wait.
///
/// Plans are made while the outbox is small and kept while it grows, so each look at it is by an
/// index that the planner cannot take a scan for: see also [`mark_sent`].
pub(super) async fn unsent(
    database: &Database,
    waiting: Vec<String>,
    known: Vec<i64>,
    limit: u32,
) -> Result<Vec<Row>, Error> {
    let sql = Sql::by_dialect(
        "SELECT sequence, event FROM outbox
         WHERE sent_position IS NULL AND stream <> ALL($1) AND sequence <> ALL($3)
           AND (SELECT stuck.stream FROM outbox AS stuck
                WHERE stuck.error IS NOT NULL AND stuck.stream = outbox.stream LIMIT 1) IS NULL
         ORDER BY sequence LIMIT $2",
        "SELECT sequence, event FROM outbox
         WHERE sent_position IS NULL AND stream NOT IN (SELECT value FROM json_each($1))
           AND sequence NOT IN (SELECT value FROM json_each($3))
           AND stream NOT IN (SELECT stream FROM outbox WHERE error IS NOT NULL)
         ORDER BY sequence LIMIT $2",
    );
    let rows: Vec<(i64, Json<Event>)> = database
        .fetch_all(sql, params![waiting, limit, known])
        .await?;
    Ok(rows
        .into_iter()
        .map(|(sequence, event)| Row {
            sequence,
            event: event.0,
        })
        .collect())
}

/// Notes where the log put rows that were not there yet, as long as the lease is held: who has lost
/// it may know of a log that was replaced since. One statement, so one round trip and one commit.
///
/// The rows' range is said beside their numbers, which leads to the few unsent ones by their own index,
/// whatever the planner knows of the table.
pub(super) async fn mark_sent(
    database: &Database,
    lease: &Lease,
    epoch: Uuid,
    sent: &[Sent],
) -> Result<Fence, Error> {
    const MARK: Sql = Sql::by_dialect(
        // Locked, so that nobody takes the lease before this is committed.
        "WITH held AS MATERIALIZED (
             SELECT token FROM leases WHERE name = $5 AND holder = $6 AND token = $7 FOR UPDATE)
         UPDATE outbox SET sent_epoch = $1, sent_position = sent.position
         FROM (SELECT (value ->> 0)::BIGINT AS sequence, (value ->> 1)::BIGINT AS position
               FROM jsonb_array_elements($2)) AS sent
         WHERE outbox.sequence = sent.sequence
           AND outbox.sent_position IS NULL AND outbox.sequence BETWEEN $3 AND $4
           AND (SELECT token FROM held) IS NOT NULL",
        "UPDATE outbox SET sent_epoch = $1, sent_position = sent.position
         FROM (SELECT value ->> 0 AS sequence, value ->> 1 AS position FROM json_each($2)) AS sent
         WHERE outbox.sequence = sent.sequence
           AND outbox.sent_position IS NULL AND outbox.sequence BETWEEN $3 AND $4
           AND EXISTS (SELECT 1 FROM leases WHERE name = $5 AND holder = $6 AND token = $7)",
    );
    let sequences = || sent.iter().map(|sent| sent.sequence);
    let (Some(first), Some(last)) = (sequences().min(), sequences().max()) else {
        return Ok(Fence::Held);
    };
    let places = sent
        .iter()
        .map(|sent| json!([sent.sequence, sent.position]));
    let places = Value::Array(places.collect());
    let (name, holder, token) = lease.proof();
    let values = params![epoch, places, first, last, name, holder, token];
    // Nobody but the holder marks rows, so somebody else is the holder when none is left to mark.
    Ok(match database.execute(MARK, values).await? {
        0 => Fence::Lost,
        _ => Fence::Held,
    })
}

pub(super) async fn mark_refused(
    database: &Database,
    sequence: i64,
    error: &str,
) -> Result<(), Error> {
    let sql = "UPDATE outbox SET error = $2 WHERE sequence = $1";
    database.execute(sql, params![sequence, error]).await?;
    Ok(())
}

/// Lets rows be sent again that another log had: this one was restored from a backup and may lack
/// them. The newest sent row tells whether that is so, since all are marked anew after a restore.
pub(super) async fn send_again(tx: &mut Tx, epoch: Uuid) -> Result<u64, Error> {
    let sql = "SELECT sent_epoch FROM outbox WHERE sent_position IS NOT NULL
               ORDER BY sequence DESC LIMIT 1";
    let newest: Option<(Uuid,)> = tx.fetch_optional(sql, Vec::new()).await?;
    if newest.is_none_or(|(newest,)| newest == epoch) {
        return Ok(0);
    }
    tx.execute(
        "UPDATE outbox SET sent_epoch = NULL, sent_position = NULL
         WHERE sent_position IS NOT NULL AND sent_epoch <> $1",
        params![epoch],
    )
    .await
}

/// Deletes sent rows that the log's backup has, or that are older than `old`. Where the oldest row
/// stays, all do, and nothing more is read.
pub(super) async fn prune(tx: &mut Tx, backed_up_to: i64, old: Timestamp) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM outbox
         WHERE sequence IN (SELECT sequence FROM outbox ORDER BY sequence LIMIT $3)
           AND sent_position IS NOT NULL AND (sent_position <= $1 OR written_at < $2)
           AND (SELECT sent_position IS NULL OR sent_position <= $1 OR written_at < $2
                FROM outbox ORDER BY sequence LIMIT 1)",
        params![backed_up_to, old, PRUNE_AT_ONCE],
    )
    .await
}

/// How the outbox stands.
pub(crate) async fn status(database: &Database) -> Result<OutboxStatus, Error> {
    let (unsent, oldest): (i64, Option<Timestamp>) = database
        .fetch_one(
            "SELECT COUNT(*), MIN(written_at) FROM outbox WHERE sent_position IS NULL",
            Vec::new(),
        )
        .await?;
    let sql = "SELECT COUNT(DISTINCT stream) FROM outbox WHERE error IS NOT NULL";
    let (stuck,): (i64,) = database.fetch_one(sql, Vec::new()).await?;
    let now = database.now().await?;
    Ok(OutboxStatus {
        unsent,
        oldest: oldest.map(|oldest| now.since(oldest)),
        stuck,
    })
}

/// The events that the log refused.
pub(crate) async fn stuck(database: &Database, limit: u32) -> Result<Vec<Stuck>, Error> {
    let rows: Vec<(Uuid, String, i64, String, Timestamp)> = database
        .fetch_all(
            "SELECT id, stream, version, error, written_at FROM outbox
             WHERE error IS NOT NULL ORDER BY sequence LIMIT $1",
            params![limit],
        )
        .await?;
    let stuck = rows
        .into_iter()
        .map(|(id, stream, version, error, written_at)| Stuck {
            id,
            stream,
            version,
            error,
            written_at,
        });
    Ok(stuck.collect())
}

/// Lets a stream be tried again whose event the log refused; says whether the event was stuck.
///
/// # Errors
/// As the database says.
pub async fn clear_error(database: &Database, id: Uuid) -> Result<bool, Error> {
    let mut tx = database.begin().await?;
    let sql = "UPDATE outbox SET error = NULL WHERE id = $1 AND error IS NOT NULL";
    let cleared = tx.execute(sql, params![id]).await?;
    tx.signal(crate::outbox::SIGNAL);
    faults::before(Write::OutboxClear);
    tx.commit().await?;
    faults::after(Write::OutboxClear);
    Ok(cleared == 1)
}

fn seconds<S: serde::Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs_f64()).serialize(serializer)
}
