//! Which position a time stands for.

use std::time::Duration;

use database::{Database, Error, Timestamp, params};

use super::{
    archived::floor,
    read::{self, Archived},
    within,
};

/// The newest position whose event the log took before `time`; 0 when there is none.
///
/// A binary search in the table, and where that has none in the archive's ranges: positions rise in commit order, and times nearly with them. It is exact as long
/// as the log's clock never went back; where it did, by a correction or a fail-over to a server whose
/// clock is behind, some of the events that were taken within that step lie on the wrong side. For
/// events from before the log noted when it took them, the time at which they happened stands in.
pub(super) async fn position_before(
    database: &Database,
    archived: &Archived,
    time: Timestamp,
    timeout: Duration,
) -> Result<i64, Error> {
    loop {
        let floor = within(timeout, floor(database)).await?;
        let found = stored_before(database, floor.position, time, timeout).await?;
        if found > floor.position || floor.position == 0 {
            return Ok(found);
        }
        let found = archived.position_before(database, floor, time).await?;
        // Rows that went meanwhile were seen by neither search.
        let now = within(timeout, self::floor(database)).await?;
        if found < floor.position || now.position == floor.position {
            return Ok(found);
        }
    }
}

/// The same for the rows above `floor`; that where there is none.
async fn stored_before(
    database: &Database,
    floor: i64,
    time: Timestamp,
    timeout: Duration,
) -> Result<i64, Error> {
    let head = within(timeout, read::head(database)).await?.position;
    // What is known: at or below `before` all was earlier, from `not_before` on nothing was.
    let (mut before, mut not_before) = (floor, head + 1);
    while not_before - before > 1 {
        let middle = before + (not_before - before) / 2;
        // The next one there is: rows may go meanwhile.
        let sql = "SELECT position, COALESCE(recorded_at, occurred_at) FROM events
                   WHERE position >= $1 ORDER BY position LIMIT 1";
        let found = database.fetch_optional::<(i64, Timestamp)>(sql, params![middle]);
        match within(timeout, found).await? {
            Some((position, taken)) if taken < time => before = position,
            _ => not_before = middle,
        }
    }
    Ok(before)
}
