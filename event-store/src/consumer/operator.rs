//! The operator's acts on consumers and parked events.

use std::sync::Arc;

use database::{Error, Sql, Value};
use faults::Write;
use thiserror::Error;
use uuid::Uuid;

use super::{
    Consumers, HandlerError, Order, Parked, Reader, Retried, RetriedAll,
    checkpoint::{self, CONTROL, Found},
    parking::{self, Target},
    split::{self, Change},
};

/// Why an operator's act was not done.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// There is no such consumer here.
    #[error("there is no consumer {0:?} in this service")]
    UnknownConsumer(String),
    /// That event is not parked.
    #[error("event {0} is not parked for this consumer")]
    NotParked(Uuid),
    /// A process is never replayed: its events would be emitted again.
    #[error("{0} is a process; only projections are replayed")]
    NotReplayable(&'static str),
    /// No second copy of it is built, or can take its place now; the text says why and what to do.
    #[error("{0}")]
    NotBuiltBeside(String),
    /// The projection cannot be taken back to that place; the text says why and what to do.
    #[error("{0}")]
    NotRewindable(String),
    /// Its checkpoint has no place in the log as it is; the text says why and what to do.
    #[error("{0}")]
    NotAdoptable(String),
    /// The projection could not be emptied.
    #[error("{0}")]
    Reset(#[from] HandlerError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Error),
}

/// What a consumer does that has seen events which a restored log lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// It stays refused.
    Refuse,
    /// A process goes on from the newest event that it shares with the log, and so handles again
    /// what comes again; its effects are guarded by the ids of what it does.
    Rewind,
}

impl Consumers {
    /// Stops a consumer before its next transaction, on all replicas, until it is resumed.
    ///
    /// # Errors
    /// [`OperatorError::UnknownConsumer`], or as the database says.
    pub async fn pause(&self, name: &str) -> Result<(), OperatorError> {
        self.set_paused(name, true).await
    }

    /// Lets a paused consumer go on.
    ///
    /// # Errors
    /// [`OperatorError::UnknownConsumer`], or as the database says.
    pub async fn resume(&self, name: &str) -> Result<(), OperatorError> {
        self.set_paused(name, false).await
    }

    async fn set_paused(&self, name: &str, paused: bool) -> Result<(), OperatorError> {
        let epoch = self.log.head().await?.epoch;
        for reader in self.known(name)? {
            let found = checkpoint::of(&self.database, reader, epoch, Change::Never).await?;
            // What does not lie here by that name: a part of another number, or no second copy.
            if !matches!(found, Found::At(_)) && reader.consumer() != name {
                return Err(OperatorError::UnknownConsumer(name.to_owned()));
            }
        }
        let mut tx = self.database.begin().await?;
        // Also those of another number than this process is made for.
        let mut parts = split::hold_number(&mut tx, name).await?;
        parts.push(name.to_owned());
        let sql = Sql::by_dialect(
            "UPDATE consumer_checkpoints SET paused = $2 WHERE consumer = ANY($1)",
            "UPDATE consumer_checkpoints SET paused = $2
             WHERE consumer IN (SELECT value FROM json_each($1))",
        );
        let paused = Value::Boolean(Some(paused));
        if tx.execute(sql, vec![parts.into(), paused]).await? == 0 {
            return Err(OperatorError::UnknownConsumer(name.to_owned()));
        }
        tx.signal(CONTROL);
        faults::before(Write::ConsumerPause);
        tx.commit().await?;
        faults::after(Write::ConsumerPause);
        Ok(())
    }

    /// Parked events of one consumer, or of all, oldest first.
    ///
    /// # Errors
    /// As the database says.
    pub async fn parked(&self, name: Option<&str>, limit: u32) -> Result<Vec<Parked>, Error> {
        let names = name.map(|name| {
            let named = self.named(name).into_iter();
            let named = named.map(|reader| reader.name().to_owned());
            named.chain([name.to_owned()]).collect()
        });
        parking::list(&self.database, names, limit).await
    }

    /// One parked event.
    ///
    /// # Errors
    /// [`OperatorError::NotParked`], or as the database says.
    pub async fn parked_event(&self, name: &str, id: Uuid) -> Result<Parked, OperatorError> {
        Ok(self.found(name, id).await?.1)
    }

    /// A parked event, and whose it is.
    async fn found(&self, name: &str, id: Uuid) -> Result<(&Arc<Reader>, Parked), OperatorError> {
        for reader in self.known(name)? {
            if let Some(parked) = parking::find(&self.database, reader.name(), id).await? {
                return Ok((reader, parked));
            }
        }
        Err(OperatorError::NotParked(id))
    }

    /// Handles a parked event again, and with it, in order, all that is parked with its stream.
    ///
    /// # Errors
    /// [`OperatorError`]; a handler that fails again is not one, see [`Retried::error`].
    pub async fn retry(&self, name: &str, id: Uuid) -> Result<Retried, OperatorError> {
        let (reader, parked) = self.found(name, id).await?;
        let target = Target::of(&reader.handler, &parked);
        Ok(parking::retry(&self.database, self.log.personal(), reader, target).await?)
    }

    /// Handles one parked event again, alone: also before earlier ones of its stream, where its
    /// handler counts on their order. For whoever knows that it does no harm.
    ///
    /// # Errors
    /// As [`Consumers::retry`].
    pub async fn retry_alone(&self, name: &str, id: Uuid) -> Result<Retried, OperatorError> {
        let (reader, _) = self.found(name, id).await?;
        Ok(parking::retry(
            &self.database,
            self.log.personal(),
            reader,
            Target::Event(id),
        )
        .await?)
    }

    /// Handles again what a consumer has parked above a position, stream by stream and each in order,
    /// for some seconds; [`RetriedAll::next`] says where to go on.
    ///
    /// # Errors
    /// As [`Consumers::retry`].
    pub async fn retry_all(&self, name: &str, after: i64) -> Result<RetriedAll, OperatorError> {
        let readers = self.known(name)?;
        Ok(parking::retry_all(&self.database, self.log.personal(), &readers, after).await?)
    }

    /// Gives a parked event up for good; those that only waited behind it are handled then.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn discard(&self, name: &str, id: Uuid) -> Result<Retried, OperatorError> {
        let (reader, parked) = self.found(name, id).await?;
        if !parking::discard(&self.database, reader.name(), id).await? {
            return Err(OperatorError::NotParked(id));
        }
        tracing::warn!(
            consumer = name, event = %id, position = parked.position, error = parked.error,
            "parked event discarded by an operator"
        );
        let drain = reader.handler.order() == Order::ByStream
            && parking::next_waiting(&self.database, reader.name(), &parked.stream).await?;
        if drain {
            let target = Target::Stream(parked.stream);
            return Ok(parking::retry(&self.database, self.log.personal(), reader, target).await?);
        }
        Ok(Retried {
            handled: 0,
            error: None,
        })
    }

    /// The reader of this name, or all parts of the consumer of this name.
    pub(super) fn known(&self, name: &str) -> Result<Vec<&Arc<Reader>>, OperatorError> {
        let named = self.named(name);
        if named.is_empty() {
            return Err(OperatorError::UnknownConsumer(name.to_owned()));
        }
        Ok(named)
    }

    /// A reader of the consumer, for what is done to a whole one: a part is refused, and `why` says so.
    pub(super) fn whole(
        &self,
        name: &str,
        why: &str,
        refuse: impl FnOnce(String) -> OperatorError,
    ) -> Result<&Arc<Reader>, OperatorError> {
        let readers = self.known(name)?;
        let whole = readers.iter().find(|reader| reader.consumer() == name);
        whole.copied().ok_or_else(|| {
            let of = readers.first().map_or(name, |reader| reader.consumer());
            refuse(format!(
                "{name} is one part of {of}: {why}; name {of} instead"
            ))
        })
    }
}
