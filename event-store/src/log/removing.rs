//! The way of a closed range out of the database, in two transactions: its file is noted and its keys are
//! kept, then its rows go.
//!
//! Invariant: between the two, and after a crash there, a row and its key are both there, and both say
//! the same. Keys come first and alone, so that who repeats an event while its row goes finds the key and
//! waits for nobody; the lock of the log's head is asked for last, and held for one statement.

use database::{Database, Dialect, Error, Tx, params};
use faults::Write;
use serde_json::json;

use super::ArchivedRange;
use crate::lease::{Fence, Lease};

/// Notes the range and keeps its keys; a note of rows that are still there is replaced.
pub(crate) async fn note(
    database: &Database,
    lease: &Lease,
    range: &ArchivedRange,
) -> Result<Fence, Error> {
    let Some(mut tx) = lease.begin(database).await? else {
        return Ok(Fence::Lost);
    };
    let now = tx.now().await?;
    let noted = tx
        .execute(
            "INSERT INTO archived_ranges (first_position, last_position, folder, file, bytes, sha256,
                                          types, categories, streams, first_at, taken_to, noted_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             ON CONFLICT (first_position) DO UPDATE
             SET last_position = $2, folder = $3, file = $4, bytes = $5, sha256 = $6, types = $7,
                 categories = $8, streams = $9, first_at = $10, taken_to = $11, noted_at = $12
             WHERE archived_ranges.removed_at IS NULL",
            params![
                range.first,
                range.last,
                &range.folder,
                &range.file,
                range.bytes,
                &range.sha256,
                json!(range.types),
                json!(range.categories),
                range.streams,
                range.first_at,
                range.taken_to,
                now,
            ],
        )
        .await?;
    one(noted, "the note of an archived range")?;
    if database.dialect() == Dialect::Sqlite {
        keep_keys(&mut tx, range).await?;
    }
    faults::before(Write::LogArchiveNote);
    tx.commit().await?;
    faults::after(Write::LogArchiveNote);
    Ok(Fence::Held)
}

/// Keeps the keys of a file's events. PostgreSQL has kept those of every event since it came.
async fn keep_keys(tx: &mut Tx, range: &ArchivedRange) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO archived_keys (id, position, stream, version, type, correlation_id)
         SELECT id, position, stream, version, type, correlation_id FROM events
         WHERE position >= $1 AND position <= $2
         ON CONFLICT (id) DO NOTHING",
        params![range.first, range.last],
    )
    .await?;
    tx.execute(
        "UPDATE log_head SET keys_to = $1 WHERE keys_to < $1",
        params![range.last],
    )
    .await?;
    Ok(())
}

/// Removes the rows of a range that is noted.
pub(crate) async fn remove(
    database: &Database,
    lease: &Lease,
    range: &ArchivedRange,
) -> Result<Fence, Error> {
    let Some(mut tx) = lease.begin(database).await? else {
        return Ok(Fence::Lost);
    };
    let gone = tx
        .execute(
            "DELETE FROM events WHERE position >= $1 AND position <= $2",
            params![range.first, range.last],
        )
        .await?;
    if i64::try_from(gone) != Ok(range.last - range.first + 1) {
        return Err(Error::query(format!(
            "the log has {gone} rows at {} to {}",
            range.first, range.last
        )));
    }
    let now = tx.now().await?;
    let noted = tx
        .execute(
            "UPDATE archived_ranges SET removed_at = $3
             WHERE first_position = $1 AND last_position = $2 AND removed_at IS NULL",
            params![range.first, range.last, now],
        )
        .await?;
    one(noted, "the note of an archived range")?;
    let moved = tx
        .execute(
            "UPDATE log_head SET archived_to = $2 WHERE archived_to = $1",
            params![range.first - 1, range.last],
        )
        .await?;
    one(
        moved,
        "the head of a log whose archive ends before the range",
    )?;
    faults::before(Write::LogArchiveRemove);
    tx.commit().await?;
    faults::after(Write::LogArchiveRemove);
    Ok(Fence::Held)
}

/// Notes that the archive lies in another folder.
pub(crate) async fn relocate(
    database: &Database,
    lease: &Lease,
    folder: &str,
) -> Result<Fence, Error> {
    let Some(mut tx) = lease.begin(database).await? else {
        return Ok(Fence::Lost);
    };
    tx.execute(
        "UPDATE archived_ranges SET folder = $1 WHERE folder <> $1",
        params![folder],
    )
    .await?;
    tx.commit().await?;
    Ok(Fence::Held)
}

fn one(rows: u64, what: &str) -> Result<(), Error> {
    if rows == 1 {
        Ok(())
    } else {
        Err(Error::query(format!("{rows} rows were {what}, not 1")))
    }
}
