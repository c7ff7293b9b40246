//! A projection reads the log again.

use database::{Timestamp, Tx, params};
use faults::Write;

use super::{
    Consumers, Kind, OperatorError, Reader, Rewound,
    checkpoint::{self, CONTROL},
};

/// Where a replay begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the log's first event: the projection is emptied.
    Beginning,
    /// After this position.
    After(i64),
    /// With what the log took at this time or later, as exact as [`crate::Log::position_before`].
    At(Timestamp),
}

impl Consumers {
    /// Takes a projection back and lets it read again what comes after, in one transaction; what of
    /// that was parked comes again by itself. To the beginning is also the way out for one that
    /// refuses the log; to elsewhere its handler must know the way, see [`super::Handler::rewind`].
    ///
    /// # Errors
    /// [`OperatorError`]; nothing has changed then.
    pub async fn replay(&self, name: &str, start: Start) -> Result<(), OperatorError> {
        let reader = self.known(name)?;
        if reader.is_second {
            let why = "a second copy is begun anew by abandoning it and building another";
            return Err(OperatorError::NotBuiltBeside(format!("{name}: {why}")));
        }
        if reader.handler.kind() == Kind::Process {
            return Err(OperatorError::NotReplayable(reader.name()));
        }
        let position = match start {
            Start::Beginning => 0,
            Start::After(position) => position,
            Start::At(time) => self.log.position_before(time).await?,
        };
        if position <= 0 {
            self.begin_again(reader).await
        } else {
            self.rewind(reader, position).await
        }
    }

    async fn begin_again(&self, reader: &Reader) -> Result<(), OperatorError> {
        let name = reader.name();
        let epoch = self.log.head().await?.epoch;
        checkpoint::load(&self.database, name, epoch).await?;
        let mut tx = self.database.begin().await?;
        let now = tx.now().await?;
        // First the checkpoint: whoever handles an event at this moment has it, and ends before us
        // or loses its claim.
        tx.execute(
            "UPDATE consumer_checkpoints SET epoch = $2, position = 0, updated_at = $3
             WHERE consumer = $1",
            params![name, epoch, now],
        )
        .await?;
        reader.handler.reset(&mut tx).await?;
        tx.execute(
            "DELETE FROM parked_events WHERE consumer = $1",
            params![name],
        )
        .await?;
        tx.signal(CONTROL);
        committed(tx).await
    }

    async fn rewind(&self, reader: &Reader, position: i64) -> Result<(), OperatorError> {
        let name = reader.name();
        let refuse = |why: String| Err(OperatorError::NotRewindable(format!("{name}: {why}")));
        let epoch = self.log.head().await?.epoch;
        checkpoint::load(&self.database, name, epoch).await?;
        let mut tx = self.database.begin().await?;
        let now = tx.now().await?;
        let moved = tx
            .execute(
                "UPDATE consumer_checkpoints SET position = $3, updated_at = $4
                 WHERE consumer = $1 AND epoch = $2 AND position >= $3",
                params![name, epoch, position, now],
            )
            .await?;
        if moved == 0 {
            tx.rollback().await?;
            let at = checkpoint::load(&self.database, name, epoch).await?;
            return refuse(if at.epoch == epoch {
                format!(
                    "it is at {}, and a replay from {position} would pass over what lies between",
                    at.position
                )
            } else {
                "its checkpoint belongs to another log: let it adopt this one, or replay it from \
                 the beginning"
                    .to_owned()
            });
        }
        if reader.handler.rewind(&mut tx, position).await? == Rewound::Unsupported {
            return refuse("it can only be built anew: replay it from the beginning".to_owned());
        }
        tx.execute(
            "DELETE FROM parked_events WHERE consumer = $1 AND position > $2",
            params![name, position],
        )
        .await?;
        tx.signal(CONTROL);
        committed(tx).await
    }
}

async fn committed(tx: Tx) -> Result<(), OperatorError> {
    faults::before(Write::ConsumerReplay);
    tx.commit().await?;
    faults::after(Write::ConsumerReplay);
    Ok(())
}
