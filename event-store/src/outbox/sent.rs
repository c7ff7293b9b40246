//! What an outbox still has of a log: rows stay until a backup of the log has them.

use contracts::{Event, Recorded};
use database::{Database, Error, Json, params};
use uuid::Uuid;

/// The newest position that the log `epoch` gave to an event which is still there; 0 when there is
/// none.
pub(crate) async fn newest_sent(database: &Database, epoch: Uuid) -> Result<i64, Error> {
    let newest: Option<(i64,)> = database
        .fetch_optional(
            "SELECT sent_position FROM outbox
             WHERE sent_position IS NOT NULL AND sent_epoch = $1
             ORDER BY sent_position DESC LIMIT 1",
            params![epoch],
        )
        .await?;
    Ok(newest.map_or(0, |(position,)| position))
}

/// Events at the positions `after + 1..=until` of the log `epoch`.
pub(crate) async fn sent_between(
    database: &Database,
    epoch: Uuid,
    after: i64,
    until: i64,
) -> Result<Vec<Recorded>, Error> {
    let rows: Vec<(Json<Event>, i64)> = database
        .fetch_all(
            "SELECT event, sent_position FROM outbox
             WHERE sent_position > $2 AND sent_position <= $3 AND sent_epoch = $1
             ORDER BY sent_position",
            params![epoch, after, until],
        )
        .await?;
    let recorded = |(Json(event), position)| Recorded {
        epoch,
        position,
        recorded_at: None,
        event,
    };
    Ok(rows.into_iter().map(recorded).collect())
}
