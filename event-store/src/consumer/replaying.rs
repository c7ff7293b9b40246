//! A projection reads the log again.

use database::{Timestamp, Tx, params};
use faults::Write;

use super::{
    Consumers, Kind, OperatorError, Reader, Rewound,
    checkpoint::{self, CONTROL},
    split::{self, Change},
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
    /// Of a split one all parts are taken back at once, and none alone.
    ///
    /// # Errors
    /// [`OperatorError`]; nothing has changed then.
    pub async fn replay(&self, name: &str, start: Start) -> Result<(), OperatorError> {
        let refuse = OperatorError::NotRewindable;
        let reader = self.whole(name, "its projection is emptied as a whole", refuse)?;
        if reader.part.is_none() {
            let why = "a second copy is begun anew by abandoning it and building another";
            return Err(OperatorError::NotBuiltBeside(format!("{name}: {why}")));
        }
        if reader.handler.kind() == Kind::Process {
            return Err(OperatorError::NotReplayable(reader.consumer()));
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
        let name = reader.consumer();
        let epoch = self.log.head().await?.epoch;
        checkpoint::of(&self.database, reader, epoch, Change::Never).await?;
        let mut tx = self.database.begin().await?;
        let now = tx.now().await?;
        // First the checkpoints: whoever handles an event at this moment has one, and ends before us
        // or loses its claim.
        let parts = split::hold_number(&mut tx, name).await?;
        split::hold_all(&mut tx, &parts).await?;
        let rows = parts.iter().map(|part| params![part, epoch, now, name]);
        // Also one that is gone comes back, in an edition that was not there before.
        tx.execute_each(
            "INSERT INTO consumer_checkpoints (consumer, epoch, position, updated_at, edition)
             VALUES ($1, $2, 0, $3, (SELECT COALESCE(MAX(edition) + 1, 0)
                                     FROM consumer_former_parts WHERE consumer = $4))
             ON CONFLICT (consumer) DO UPDATE
             SET epoch = $2, position = 0, updated_at = $3,
                 edition = consumer_checkpoints.edition + 1",
            rows.collect(),
        )
        .await?;
        reader.handler.reset(&mut tx).await?;
        forget(tx, name, &parts, 0).await
    }

    async fn rewind(&self, reader: &Reader, position: i64) -> Result<(), OperatorError> {
        let name = reader.consumer();
        let refuse = |why: String| Err(OperatorError::NotRewindable(format!("{name}: {why}")));
        let epoch = self.log.head().await?.epoch;
        checkpoint::of(&self.database, reader, epoch, Change::Never).await?;
        let mut tx = self.database.begin().await?;
        let now = tx.now().await?;
        let parts = split::hold_number(&mut tx, name).await?;
        let at = split::hold_all(&mut tx, &parts).await?;
        if at.iter().any(|(_, at)| at.epoch != epoch) {
            let why = "its checkpoint belongs to another log: let it adopt this one, or replay it \
                       from the beginning";
            return refuse(why.to_owned());
        }
        if let Some((_, at)) = at.iter().find(|(_, at)| at.position < position) {
            return refuse(format!(
                "it is at {}, and a replay from {position} would pass over what lies between",
                at.position
            ));
        }
        let rows = parts.iter().map(|part| params![part, position, now]);
        tx.execute_each(
            "UPDATE consumer_checkpoints
             SET position = $2, updated_at = $3, edition = edition + 1 WHERE consumer = $1",
            rows.collect(),
        )
        .await?;
        if reader.handler.rewind(&mut tx, position).await? == Rewound::Unsupported {
            return refuse("it can only be built anew: replay it from the beginning".to_owned());
        }
        forget(tx, name, &parts, position).await
    }
}

/// Commits once nothing is known any more of what lies above the position, be it parked or handled by
/// former parts.
async fn forget(
    mut tx: Tx,
    consumer: &str,
    parts: &[String],
    position: i64,
) -> Result<(), OperatorError> {
    let rows = parts.iter().map(|part| params![part, position]);
    let sql = "DELETE FROM parked_events WHERE consumer = $1 AND position > $2";
    tx.execute_each(sql, rows.collect()).await?;
    split::forget_above(&mut tx, consumer, position).await?;
    tx.signal(CONTROL);
    committed(tx).await
}

async fn committed(tx: Tx) -> Result<(), OperatorError> {
    faults::before(Write::ConsumerReplay);
    tx.commit().await?;
    faults::after(Write::ConsumerReplay);
    Ok(())
}
