//! The checkpoint: one row per consumer, moved by compare-and-set in the handler's transaction.

use database::{Database, Error, Sql, Tx, params};
use faults::Write;
use uuid::Uuid;

use super::Reader;

/// Raised by every operator's act on consumers; runners look at their row then.
pub(super) const CONTROL: &str = "consumers";

/// A place in a log: its epoch, and a position.
pub(super) type Place = (Uuid, i64);

/// How far a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) epoch: Uuid,
    pub(super) position: i64,
    pub(super) paused: bool,
}

impl Checkpoint {
    pub(super) const fn place(&self) -> Place {
        (self.epoch, self.position)
    }
}

/// Reads the checkpoint; a consumer without one starts at the beginning of this epoch.
pub(super) async fn load(
    database: &Database,
    consumer: &str,
    epoch: Uuid,
) -> Result<Checkpoint, Error> {
    let sql = "SELECT epoch, position, paused FROM consumer_checkpoints WHERE consumer = $1";
    let row: Option<(Uuid, i64, bool)> = database.fetch_optional(sql, params![consumer]).await?;
    let (epoch, position, paused) = match row {
        Some(row) => row,
        None => {
            let mut tx = database.begin().await?;
            let now = tx.now().await?;
            tx.execute(
                "INSERT INTO consumer_checkpoints (consumer, epoch, position, updated_at)
                 VALUES ($1, $2, 0, $3) ON CONFLICT (consumer) DO NOTHING",
                params![consumer, epoch, now],
            )
            .await?;
            let row = tx.fetch_one(sql, params![consumer]).await?;
            faults::before(Write::ConsumerBegin);
            tx.commit().await?;
            faults::after(Write::ConsumerBegin);
            row
        }
    };
    Ok(Checkpoint {
        epoch,
        position,
        paused,
    })
}

/// Reads the checkpoint of a second copy, which has one only while it is being built.
pub(super) async fn find(database: &Database, consumer: &str) -> Result<Option<Checkpoint>, Error> {
    let sql = "SELECT epoch, position, paused FROM consumer_checkpoints WHERE consumer = $1";
    let row: Option<(Uuid, i64, bool)> = database.fetch_optional(sql, params![consumer]).await?;
    Ok(row.map(|(epoch, position, paused)| Checkpoint {
        epoch,
        position,
        paused,
    }))
}

/// Reads a reader's checkpoint; none where it is a second copy's that is not being built.
pub(super) async fn of(
    database: &Database,
    reader: &Reader,
    epoch: Uuid,
) -> Result<Option<Checkpoint>, Error> {
    if reader.is_second {
        find(database, reader.name()).await
    } else {
        load(database, reader.name(), epoch).await.map(Some)
    }
}

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Claim {
    /// The checkpoint is ours to move until the transaction ends.
    Won,
    /// Somebody else moved it, or paused the consumer: do nothing and look again.
    Lost,
}

/// Moves the checkpoint from exactly `from` to `to`.
pub(super) async fn claim(
    tx: &mut Tx,
    consumer: &str,
    epoch: Uuid,
    from: i64,
    to: i64,
) -> Result<Claim, Error> {
    // The time in SQL, since asking for it would be one more round trip for every transaction.
    let sql = Sql::by_dialect(
        "UPDATE consumer_checkpoints SET position = $4, updated_at = clock_timestamp()
         WHERE consumer = $1 AND epoch = $2 AND position = $3 AND paused = FALSE",
        "UPDATE consumer_checkpoints
         SET position = $4, updated_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER)
         WHERE consumer = $1 AND epoch = $2 AND position = $3 AND paused = FALSE",
    );
    let moved = tx.execute(sql, params![consumer, epoch, from, to]).await?;
    Ok(if moved == 1 { Claim::Won } else { Claim::Lost })
}

/// Holds the checkpoint still until the transaction ends, so that nothing can be parked behind a
/// stream that is being drained.
pub(super) async fn hold(tx: &mut Tx, consumer: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE consumer_checkpoints SET position = position WHERE consumer = $1",
        params![consumer],
    )
    .await?;
    Ok(())
}
