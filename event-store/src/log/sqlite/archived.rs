//! What an append must know of events whose rows were archived: their keys.

use database::{Error, Tx, params};

use super::{Ids, Known, Stored};
use crate::log::append::Append;

/// Adds what is known of the group's events by kept keys. `false` when one that was taken as new is among
/// them.
pub(super) async fn add(
    tx: &mut Tx,
    batches: &[Vec<Append>],
    ids: Ids,
    known: &mut Known,
) -> Result<bool, Error> {
    for Append { event, .. } in batches.iter().flatten() {
        if known.versions.get(&event.stream) == Some(&0) {
            let sql = "SELECT coalesce(max(version), 0) FROM archived_keys WHERE stream = $1";
            let (version,) = tx.fetch_one(sql, params![&event.stream]).await?;
            known.versions.insert(event.stream.clone(), version);
        }
        let sql = "SELECT position, stream, version, type FROM archived_keys WHERE id = $1";
        let key: Option<(i64, String, i64, String)> =
            tx.fetch_optional(sql, params![event.id]).await?;
        let Some((position, stream, version, event_type)) = key else {
            continue;
        };
        if ids == Ids::TakenAsNew {
            return Ok(false);
        }
        known.stored.entry(event.id).or_insert(Stored {
            position,
            stream,
            version,
            event_type,
            payload: None,
        });
    }
    Ok(true)
}
