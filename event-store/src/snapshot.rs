//! An aggregate's state, folded from its stream: a snapshot in the service's database, and what came
//! after it from the log.
//!
//! Invariant: what is loaded is what all events of the stream fold to, with a snapshot or without.
//! One that was made of another stream's past (the log was restored), by another version of the code,
//! or that cannot be read, is passed over and replaced. The state is the log's: what lies in an outbox
//! is not in it yet.
//!
//! A state that personal fields went into is kept sealed as they are, under the key of whom they name:
//! once that is erased the snapshot is of no use either. Where they name several, none is kept.

use std::collections::BTreeSet;

use contracts::{Event, Recorded};
use database::{Database, Error, Json, Tx, params};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    Log, ReadQuery,
    log::READ_LIMIT,
    personal::{Kept, PersonalError},
};

/// What a stream's events fold to.
pub trait Aggregate: Default + Serialize + DeserializeOwned + Send + Sync {
    /// The name under which it is kept, among all that is made of the same stream.
    const KIND: &'static str;
    /// Raise it whenever the shape or what [`Aggregate::apply`] does has changed: snapshots of other
    /// versions are passed over.
    const SCHEMA_VERSION: i64;
    /// Events that may be read beyond a snapshot before a new one is kept.
    const KEEP_EVERY: i64 = 100;

    /// Takes the stream's next event in.
    ///
    /// # Errors
    /// When the event cannot be read; nothing is loaded then.
    fn apply(&mut self, event: &Event) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// An aggregate as its stream tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded<A> {
    /// The state; the default one where the stream has no event.
    pub state: A,
    /// The stream's version that it stands for; 0 without an event.
    pub version: i64,
    /// How many events were read beyond the snapshot.
    pub read: i64,
}

/// Why an aggregate was not loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A database failed.
    #[error(transparent)]
    Database(#[from] Error),
    /// A personal field does not open.
    #[error(transparent)]
    Personal(#[from] PersonalError),
    /// The stream is not contiguous, which the log forbids.
    #[error("stream {stream} has version {found} where {expected} comes next")]
    Gap {
        /// The stream.
        stream: String,
        /// The version that comes next.
        expected: i64,
        /// The one that is there.
        found: i64,
    },
    /// An event could not be taken in.
    #[error("event {id} of stream {stream}: {cause}")]
    Unreadable {
        /// The stream.
        stream: String,
        /// The event.
        id: Uuid,
        /// Why.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Loads an aggregate, and keeps a new snapshot where that saves the next load much. The database is
/// the service's, with [`crate::outbox::migrations`].
///
/// # Errors
/// [`LoadError`]. That a snapshot could not be kept is none.
pub async fn load<A: Aggregate>(
    log: &Log,
    database: &Database,
    stream: &str,
) -> Result<Loaded<A>, LoadError> {
    let mut folding = from_kept(log, database, stream).await?;
    folding.read_on(log, stream).await?;
    if folding.loaded.read >= A::KEEP_EVERY
        && let Some(last) = folding.last
        && let Err(error) = keep(log, database, stream, (last, &folding)).await
    {
        tracing::warn!(stream, kind = A::KIND, %error, "snapshot not kept");
    }
    Ok(folding.loaded)
}

/// Deletes the snapshots of a stream, in the transaction that makes its events unreadable.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, stream: &str) -> Result<(), Error> {
    let sql = "DELETE FROM snapshots WHERE stream = $1";
    tx.execute(sql, params![stream]).await?;
    Ok(())
}

struct Folding<A> {
    loaded: Loaded<A>,
    /// The last event that was read.
    last: Option<Uuid>,
    /// Whom the personal fields name that went into the state.
    subjects: BTreeSet<String>,
}

impl<A: Aggregate> Folding<A> {
    fn new() -> Self {
        Self::at(A::default(), 0)
    }

    const fn at(state: A, version: i64) -> Self {
        Self {
            loaded: Loaded {
                state,
                version,
                read: 0,
            },
            last: None,
            subjects: BTreeSet::new(),
        }
    }

    async fn read_on(&mut self, log: &Log, stream: &str) -> Result<(), LoadError> {
        loop {
            let query = ReadQuery::after(0).stream(stream).limit(READ_LIMIT);
            let page = log.read(&query.beyond_version(self.loaded.version)).await?;
            let is_last = page.len() < READ_LIMIT as usize;
            let (page, subjects) = log.personal().open_naming(page).await?;
            self.subjects.extend(subjects);
            for recorded in page {
                self.take(recorded, stream)?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn take(&mut self, recorded: Recorded, stream: &str) -> Result<(), LoadError> {
        let event = recorded.event;
        let expected = self.loaded.version + 1;
        if event.version != expected {
            return Err(LoadError::Gap {
                stream: stream.to_owned(),
                expected,
                found: event.version,
            });
        }
        self.loaded
            .state
            .apply(&event)
            .map_err(|cause| LoadError::Unreadable {
                stream: stream.to_owned(),
                id: event.id,
                cause,
            })?;
        self.loaded.version = event.version;
        self.loaded.read += 1;
        self.last = Some(event.id);
        Ok(())
    }
}

/// The snapshot, or the beginning where there is none of use; one of no use is deleted.
async fn from_kept<A: Aggregate>(
    log: &Log,
    database: &Database,
    stream: &str,
) -> Result<Folding<A>, LoadError> {
    let sql = "SELECT version, event_id, state FROM snapshots
               WHERE stream = $1 AND kind = $2 AND schema_version = $3";
    let row: Option<(i64, Uuid, Json<serde_json::Value>)> = database
        .fetch_optional(sql, params![stream, A::KIND, A::SCHEMA_VERSION])
        .await?;
    let Some((version, last, Json(state))) = row else {
        return Ok(Folding::new());
    };
    let why = match log.personal().kept((last, A::KIND), state).await? {
        Kept::Closed => "the key of whom it names is gone, or not here".to_owned(),
        Kept::Open(state, subject) => match serde_json::from_value(state) {
            Ok(state) if is_of(log, stream, version, last).await? => {
                let mut folding = Folding::at(state, version);
                folding.subjects.extend(subject);
                return Ok(folding);
            }
            Ok(_) => "its last event is not the log's at that version".to_owned(),
            Err(error) => error.to_string(),
        },
    };
    tracing::warn!(stream, kind = A::KIND, version, why, "snapshot passed over");
    let sql = "DELETE FROM snapshots WHERE stream = $1 AND kind = $2 AND event_id = $3";
    let deleted = database.execute(sql, params![stream, A::KIND, last]).await;
    if let Err(error) = deleted {
        tracing::warn!(stream, kind = A::KIND, %error, "a snapshot of no use is not deleted");
    }
    Ok(Folding::new())
}

/// Whether the log has this event at this version.
async fn is_of(log: &Log, stream: &str, version: i64, id: Uuid) -> Result<bool, Error> {
    let query = ReadQuery::after(0).stream(stream).limit(1);
    let found = log.read(&query.beyond_version(version - 1)).await?;
    let event = found.first().map(|recorded| &recorded.event);
    Ok(event.is_some_and(|event| event.id == id && event.version == version))
}

/// Keeps what was loaded. Of two that keep at the same time the newer stays; one of another version of
/// the code is replaced, also by an older version's that runs beside it: both are right for their own.
async fn keep<A: Aggregate>(
    log: &Log,
    database: &Database,
    stream: &str,
    (last, folding): (Uuid, &Folding<A>),
) -> Result<(), LoadError> {
    let loaded = &folding.loaded;
    let state = serde_json::to_value(&loaded.state).map_err(|error| Error::Query(error.into()))?;
    let place = (last, A::KIND);
    let Some(state) = log
        .personal()
        .to_keep(&folding.subjects, place, state)
        .await?
    else {
        tracing::debug!(
            stream,
            kind = A::KIND,
            "it names several people, or one who is gone: not kept"
        );
        return Ok(());
    };
    let now = database.now().await?;
    database
        .execute(
            "INSERT INTO snapshots
                 (stream, kind, schema_version, version, event_id, state, taken_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (stream, kind) DO UPDATE
             SET schema_version = excluded.schema_version, version = excluded.version,
                 event_id = excluded.event_id, state = excluded.state, taken_at = excluded.taken_at
             WHERE snapshots.version < excluded.version
                OR snapshots.schema_version <> excluded.schema_version",
            params![
                stream,
                A::KIND,
                A::SCHEMA_VERSION,
                loaded.version,
                last,
                state,
                now
            ],
        )
        .await?;
    Ok(())
}
