//! The operator's acts on consumers and parked events.

use std::{collections::BTreeMap, sync::Arc};

use database::{Error, params};
use faults::Write;
use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use super::{
    Consumers, HandlerError, Kind, Order, Parked, Reader, Retried, RetriedAll, State,
    checkpoint::{self, CONTROL},
    parking::{self, Target},
};

/// A consumer as an operator sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// Whether it may be replayed.
    pub kind: Kind,
    /// The event types that it wants; none means all.
    pub types: &'static [&'static str],
    /// The log that its checkpoint belongs to.
    pub epoch: Uuid,
    /// How far it is: what its database says, or what this process has read on from there. Never
    /// what was read before a replay.
    pub position: i64,
    /// Positions between it and the log's head.
    pub lag: i64,
    /// Events set aside.
    pub parked: i64,
    /// Whether an operator paused it.
    pub paused: bool,
    /// `running`, `standby` (another replica handles), `paused`, `refused`, `stopped`: what it does
    /// in this process.
    pub state: &'static str,
    /// Why it refuses the log, where it does.
    pub reason: Option<String>,
}

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
    /// All consumers with their checkpoints.
    ///
    /// # Errors
    /// As the databases say.
    pub async fn list(&self) -> Result<Vec<ConsumerStatus>, Error> {
        let head = self.log.head().await?;
        let parked = self.parked_counts().await?;
        let mut list = Vec::with_capacity(self.readers.len());
        for reader in self.readers.iter().chain(&self.seconds) {
            let name = reader.name();
            let found = checkpoint::of(&self.database, reader, head.epoch).await?;
            let Some(checkpoint) = found else {
                continue;
            };
            let progress = reader.reporter.progress();
            let state = progress.state();
            let read_here = progress
                .position_from(checkpoint.place())
                .filter(|_| matches!(state, State::Running | State::Standby));
            let position = read_here.unwrap_or(checkpoint.position);
            list.push(ConsumerStatus {
                name: name.to_owned(),
                kind: reader.handler.kind(),
                types: reader.handler.types(),
                epoch: checkpoint.epoch,
                position,
                lag: (head.position - position).max(0),
                parked: parked.get(name).copied().unwrap_or(0),
                paused: checkpoint.paused,
                state: match state {
                    State::Running => "running",
                    State::Standby => "standby",
                    State::Paused => "paused",
                    State::Refused(_) => "refused",
                    State::Stopped => "stopped",
                },
                reason: match state {
                    State::Refused(reason) => Some(reason),
                    State::Running | State::Standby | State::Paused | State::Stopped => None,
                },
            });
        }
        Ok(list)
    }

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
        let found = checkpoint::of(&self.database, self.known(name)?, epoch).await?;
        found.ok_or_else(|| OperatorError::UnknownConsumer(name.to_owned()))?;
        let mut tx = self.database.begin().await?;
        let sql = "UPDATE consumer_checkpoints SET paused = $2 WHERE consumer = $1";
        let paused = database::Value::Boolean(Some(paused));
        tx.execute(sql, vec![name.into(), paused]).await?;
        tx.signal(CONTROL);
        faults::before(Write::ConsumerPause);
        tx.commit().await?;
        faults::after(Write::ConsumerPause);
        Ok(())
    }

    /// How many events are parked: of each consumer here, and of those from before that still have
    /// some.
    pub(crate) async fn parked_counts(&self) -> Result<BTreeMap<String, i64>, Error> {
        let sql = "SELECT consumer, COUNT(*) FROM parked_events GROUP BY consumer";
        let parked: Vec<(String, i64)> = self.database.fetch_all(sql, params![]).await?;
        let none = self
            .readers
            .iter()
            .map(|reader| (reader.name().to_owned(), 0));
        Ok(none.chain(parked).collect())
    }

    /// Parked events of one consumer, or of all, oldest first.
    ///
    /// # Errors
    /// As the database says.
    pub async fn parked(&self, name: Option<&str>, limit: u32) -> Result<Vec<Parked>, Error> {
        parking::list(&self.database, name, limit).await
    }

    /// One parked event.
    ///
    /// # Errors
    /// [`OperatorError::NotParked`], or as the database says.
    pub async fn parked_event(&self, name: &str, id: Uuid) -> Result<Parked, OperatorError> {
        self.known(name)?;
        let parked = parking::find(&self.database, name, id).await?;
        parked.ok_or(OperatorError::NotParked(id))
    }

    /// Handles a parked event again, and with it, in order, all that is parked with its stream.
    ///
    /// # Errors
    /// [`OperatorError`]; a handler that fails again is not one, see [`Retried::error`].
    pub async fn retry(&self, name: &str, id: Uuid) -> Result<Retried, OperatorError> {
        let parked = self.parked_event(name, id).await?;
        let reader = self.known(name)?;
        let target = Target::of(&reader.handler, &parked);
        Ok(parking::retry(&self.database, self.log.personal(), reader, target).await?)
    }

    /// Handles one parked event again, alone: also before earlier ones of its stream, where its
    /// handler counts on their order. For whoever knows that it does no harm.
    ///
    /// # Errors
    /// As [`Consumers::retry`].
    pub async fn retry_alone(&self, name: &str, id: Uuid) -> Result<Retried, OperatorError> {
        let reader = self.known(name)?;
        self.parked_event(name, id).await?;
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
        let reader = self.known(name)?;
        Ok(parking::retry_all(&self.database, self.log.personal(), reader, after).await?)
    }

    /// Gives a parked event up for good; those that only waited behind it are handled then.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn discard(&self, name: &str, id: Uuid) -> Result<Retried, OperatorError> {
        let parked = self.parked_event(name, id).await?;
        let reader = self.known(name)?;
        if !parking::discard(&self.database, name, id).await? {
            return Err(OperatorError::NotParked(id));
        }
        tracing::warn!(
            consumer = name, event = %id, position = parked.position, error = parked.error,
            "parked event discarded by an operator"
        );
        let drain = reader.handler.order() == Order::ByStream
            && parking::next_waiting(&self.database, name, &parked.stream).await?;
        if drain {
            let target = Target::Stream(parked.stream);
            return Ok(parking::retry(&self.database, self.log.personal(), reader, target).await?);
        }
        Ok(Retried {
            handled: 0,
            error: None,
        })
    }

    pub(super) fn known(&self, name: &str) -> Result<&Arc<Reader>, OperatorError> {
        self.reader(name)
            .ok_or_else(|| OperatorError::UnknownConsumer(name.to_owned()))
    }
}
