//! Fills an empty log with the events of one that is lost, each at the position that it had.

use bus::BusError;
use contracts::Recorded;
use database::{Database, Error, params};
use thiserror::Error as ThisError;
use uuid::Uuid;

use super::{Append, AppendError, Log, MAX_BATCH};

/// The type of what stands in the place of an event that nobody has any more.
pub const LOST: &str = "log.event_lost";

/// Why a log was not refilled.
#[derive(Debug, ThisError)]
pub enum RefillError {
    /// It has events already; those positions are taken.
    #[error("the log is not empty: its head is {0}")]
    NotEmpty(i64),
    /// The events do not follow one another.
    #[error("position {found} comes where {expected} should")]
    OutOfOrder {
        /// The position that was due.
        expected: i64,
        /// The one that came.
        found: i64,
    },
    /// The log refuses an event.
    #[error("position {position}: {source}")]
    Refused {
        /// The first position of the refused batch.
        position: i64,
        /// Why.
        source: AppendError,
    },
    /// The log's database.
    #[error("the log: {0}")]
    Database(#[from] Error),
    /// The database of a service that has events.
    #[error("an outbox: {0}")]
    Outbox(Error),
    /// The bus that has events.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Whether the positions follow the head and one another.
pub(super) fn follow(head: i64, positions: impl IntoIterator<Item = i64>) -> bool {
    (head + 1..).zip(positions).all(|(due, found)| due == found)
}

impl Log {
    /// Makes an empty log the one with the identity `epoch`.
    ///
    /// # Errors
    /// [`RefillError::NotEmpty`], or the database's.
    pub async fn become_empty(&self, epoch: Uuid) -> Result<(), RefillError> {
        let head = self.head().await?;
        if head.position != 0 {
            return Err(RefillError::NotEmpty(head.position));
        }
        let database: &Database = self.database();
        database
            .execute(
                "UPDATE log_head SET epoch = $1 WHERE head = 0",
                params![epoch],
            )
            .await?;
        self.head().await?;
        Ok(())
    }

    /// Appends `events` at exactly their positions, which follow the head; returns the new head. A
    /// crash leaves a log that begins as the old one did; begin again with an empty one.
    ///
    /// # Errors
    /// [`RefillError`]; what was appended until then stays.
    pub async fn refill(&self, events: Vec<Recorded>) -> Result<i64, RefillError> {
        let mut head = self.head().await?.position;
        let mut events = events.into_iter().peekable();
        while let Some(first) = events.peek().map(|event| event.position) {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            for event in events.by_ref().take(MAX_BATCH) {
                let expected = head + 1 + i64::try_from(batch.len()).unwrap_or(i64::MAX);
                if event.position != expected {
                    let found = event.position;
                    return Err(RefillError::OutOfOrder { expected, found });
                }
                batch.push(Append::exact(event.event));
            }
            let appended = self.append(batch).await;
            let appended = appended.map_err(|source| RefillError::Refused {
                position: first,
                source,
            })?;
            for (place, expected) in appended.iter().zip(first..) {
                if place.position != expected {
                    let found = place.position;
                    return Err(RefillError::OutOfOrder { expected, found });
                }
            }
            head = appended.last().map_or(head, |place| place.position);
        }
        Ok(head)
    }
}
