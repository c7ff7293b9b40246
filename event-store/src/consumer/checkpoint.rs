//! The checkpoint: one row per consumer or part of one, moved by compare-and-set in the handler's
//! transaction.

use database::{Database, Error, Sql, Tx, params};
use uuid::Uuid;

use super::{
    Reader,
    split::{self, Change, Elsewhere, Settled},
};

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
    /// What of the consumer's former parts it counts on; see [`super::split`].
    pub(super) edition: i64,
}

impl Checkpoint {
    pub(super) const fn place(&self) -> Place {
        (self.epoch, self.position)
    }
}

/// What a reader finds.
pub(super) enum Found {
    At(Checkpoint),
    /// It builds second copies, and none is being built.
    NotBuilt,
    /// The consumer has another number of parts.
    Elsewhere(Elsewhere),
    /// It has begun, and its checkpoint is gone; the text says what to do.
    Gone(String),
}

/// Reads a checkpoint.
pub(super) async fn find(database: &Database, name: &str) -> Result<Option<Checkpoint>, Error> {
    let sql =
        "SELECT epoch, position, paused, edition FROM consumer_checkpoints WHERE consumer = $1";
    let row: Option<(Uuid, i64, bool, i64)> = database.fetch_optional(sql, params![name]).await?;
    Ok(row.map(|(epoch, position, paused, edition)| Checkpoint {
        epoch,
        position,
        paused,
        edition,
    }))
}

/// Reads a reader's checkpoint. A consumer without one starts at the beginning of this epoch; where it
/// had another number of parts, these are taken over from as `change` allows.
pub(super) async fn of(
    database: &Database,
    reader: &Reader,
    epoch: Uuid,
    change: Change,
) -> Result<Found, Error> {
    loop {
        if let Some(checkpoint) = find(database, reader.name()).await? {
            return Ok(Found::At(checkpoint));
        }
        let Some(part) = reader.part else {
            return Ok(Found::NotBuilt);
        };
        match split::settle(database, part, epoch, change).await? {
            Settled::Here | Settled::Again => {}
            Settled::Elsewhere(elsewhere) => return Ok(Found::Elsewhere(elsewhere)),
            Settled::Gone(reason) => return Ok(Found::Gone(reason)),
        }
    }
}

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Claim {
    /// The checkpoint is ours to move until the transaction ends.
    Won,
    /// Somebody else moved it, paused the consumer, or gave it another number of parts: do nothing and
    /// look again.
    Lost,
}

/// Moves the checkpoint from exactly `from` to `to`.
pub(super) async fn claim(
    tx: &mut Tx,
    name: &str,
    from: (Place, i64),
    to: i64,
) -> Result<Claim, Error> {
    let ((epoch, position), edition) = from;
    // The time in SQL, since asking for it would be one more round trip for every transaction.
    let sql = Sql::by_dialect(
        "UPDATE consumer_checkpoints SET position = $4, updated_at = clock_timestamp()
         WHERE consumer = $1 AND epoch = $2 AND position = $3 AND paused = FALSE AND edition = $5",
        "UPDATE consumer_checkpoints
         SET position = $4, updated_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER)
         WHERE consumer = $1 AND epoch = $2 AND position = $3 AND paused = FALSE AND edition = $5",
    );
    let values = params![name, epoch, position, to, edition];
    let moved = tx.execute(sql, values).await?;
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
