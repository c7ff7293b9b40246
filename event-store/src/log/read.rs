//! Reading by position, stream, category, type and correlation, always with a bound.

mod archived;
mod files;
mod select;
mod tail;

use std::time::Duration;

use contracts::{Event, Recorded};
use database::{Database, Dialect, Error, Json, Timestamp};
use uuid::Uuid;

pub(super) use archived::Archived;
pub use tail::Replaced;

use super::{
    Head,
    archived::{Floor, floor},
    within,
};

/// Events in one answer at most: some megabytes.
pub const READ_LIMIT: u32 = 1_000;

/// What to read: a selection, a place to start, a direction and a bound (100 unless told). What is
/// asked for more than once, as a type and a correlation, must all be true of an event; asking
/// again for the same replaces it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadQuery {
    stream: Option<String>,
    category: Option<String>,
    /// Each once; none means all.
    types: Vec<String>,
    correlation: Option<Uuid>,
    id: Option<Uuid>,
    /// Exclusive: above it forward, below it backward.
    from: i64,
    /// The same for versions, where a stream is read.
    version: i64,
    direction: Direction,
    limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Forward,
    Backward,
}

/// What stands before the first hyphen of a stream's name, or all of it: `question` of `question-7`.
#[must_use]
pub fn category_of(stream: &str) -> &str {
    stream
        .split_once('-')
        .map_or(stream, |(category, _)| category)
}

impl ReadQuery {
    /// Events above `position`, oldest first.
    pub fn after(position: i64) -> Self {
        Self::new(position, Direction::Forward)
    }

    /// Events below `position`, newest first.
    pub fn before(position: i64) -> Self {
        Self::new(position, Direction::Backward)
    }

    /// All events, newest first.
    pub fn newest() -> Self {
        Self::before(i64::MAX)
    }

    fn new(from: i64, direction: Direction) -> Self {
        Self {
            stream: None,
            category: None,
            types: Vec::new(),
            correlation: None,
            id: None,
            from,
            version: match direction {
                Direction::Forward => 0,
                Direction::Backward => i64::MAX,
            },
            direction,
            limit: 100,
        }
    }

    /// The same from the other end: newest first, below the position. One made by
    /// [`ReadQuery::after`] with 0 starts at the head.
    #[must_use]
    pub fn backward(mut self) -> Self {
        if self.direction == Direction::Forward {
            for bound in [&mut self.from, &mut self.version] {
                if *bound == 0 {
                    *bound = i64::MAX;
                }
            }
        }
        self.direction = Direction::Backward;
        self
    }

    /// At most so many, and never more than [`READ_LIMIT`].
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, READ_LIMIT);
        self
    }

    /// Only this stream's events.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Of the stream that is read only what lies beyond this version: above it forward, below it
    /// backward. Without a stream it says nothing.
    #[must_use]
    pub fn beyond_version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// Only events of streams of this category, see [`category_of`].
    #[must_use]
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// Only these types' events; none means all.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.types = types.into_iter().map(Into::into).collect();
        self.types.sort_unstable();
        self.types.dedup();
        self
    }

    /// Only the events of one correlation.
    #[must_use]
    pub fn correlation(mut self, id: Uuid) -> Self {
        self.correlation = Some(id);
        self
    }

    /// Only the event with this id.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// Whether a stream and a category are asked for that contradict each other.
    fn is_empty(&self) -> bool {
        let stream = self.stream.as_deref().map(category_of);
        let category = self.category.as_deref();
        stream.is_some() && category.is_some() && stream != category
    }

    /// Whether what the table has is all that there is for the query, although rows up to `floor` are
    /// gone.
    fn is_answered_by(&self, events: &[Recorded], floor: i64) -> bool {
        let is_full = events.len() == self.limit as usize;
        match self.direction {
            _ if self.id.is_some() && !events.is_empty() => true,
            Direction::Forward => self.from >= floor,
            Direction::Backward => is_full || self.from <= 1,
        }
    }

    /// What the statement for an id leaves to be asked.
    fn takes(&self, event: &Event) -> bool {
        let stream = self.stream.as_ref();
        let category = self.category.as_deref();
        stream.is_none_or(|stream| *stream == event.stream)
            && category.is_none_or(|category| category == category_of(&event.stream))
            && (self.types.is_empty() || self.types.contains(&event.event_type))
            && self.correlation.is_none_or(|id| id == event.correlation_id)
    }
}

#[derive(database::Record)]
struct Row {
    epoch: Uuid,
    archived_to: i64,
    position: i64,
    id: Uuid,
    stream: String,
    version: i64,
    #[record(name = "type")]
    event_type: String,
    aggregate_id: String,
    schema_version: i64,
    payload: Json<serde_json::Value>,
    occurred_at: Timestamp,
    correlation_id: Uuid,
    causation_id: Option<Uuid>,
    saga_id: Option<Uuid>,
    step: Option<String>,
    service_id: String,
    traceparent: Option<String>,
    recorded_at: Option<Timestamp>,
}

impl From<Row> for Recorded {
    fn from(row: Row) -> Self {
        Self {
            epoch: row.epoch,
            position: row.position,
            recorded_at: row.recorded_at.map(Into::into),
            event: Event {
                id: row.id,
                event_type: row.event_type,
                stream: row.stream,
                aggregate_id: row.aggregate_id,
                version: row.version,
                schema_version: row.schema_version,
                payload: row.payload.0,
                timestamp: row.occurred_at.into(),
                correlation_id: row.correlation_id,
                causation_id: row.causation_id,
                saga_id: row.saga_id,
                step: row.step,
                service_id: row.service_id,
                traceparent: row.traceparent,
            },
        }
    }
}

/// The events that a query asks for, wherever they lie; `timeout` is for each statement and each file.
pub(super) async fn events(
    database: &Database,
    archived: &Archived,
    query: &ReadQuery,
    timeout: Duration,
) -> Result<Vec<Recorded>, Error> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let (events, found) = within(timeout, stored(database, query)).await?;
    let floor = match found {
        Some(floor) => floor,
        None => within(timeout, floor(database)).await?,
    };
    if floor.position == 0 || query.is_answered_by(&events, floor.position) {
        return Ok(events);
    }
    archived.complete(database, query, events, floor).await
}

/// What the table has for a query, with the floor at that moment where it has any row.
pub(super) async fn stored(
    database: &Database,
    query: &ReadQuery,
) -> Result<(Vec<Recorded>, Option<Floor>), Error> {
    let (sql, values) = select::statement(query);
    let rows: Vec<Row> = database.fetch_all(sql, values).await?;
    let floor = rows.first().map(|row| Floor {
        epoch: row.epoch,
        position: row.archived_to,
    });
    let mut events: Vec<Recorded> = rows.into_iter().map(Into::into).collect();
    if query.id.is_some() {
        events.retain(|recorded| query.takes(&recorded.event));
    }
    Ok((events, floor))
}

/// The head, and what the log's clock says while it is read; none where that is this machine's.
pub(super) async fn head_and_time(database: &Database) -> Result<(Head, Option<Timestamp>), Error> {
    match database.dialect() {
        Dialect::Sqlite => Ok((head(database).await?, None)),
        Dialect::Postgres => {
            let (epoch, position, now) = database
                .fetch_one(
                    "SELECT epoch, head, clock_timestamp() FROM log_head",
                    Vec::new(),
                )
                .await?;
            Ok((Head { epoch, position }, Some(now)))
        }
    }
}

pub(super) async fn head(database: &Database) -> Result<Head, Error> {
    let (epoch, position) = database
        .fetch_one("SELECT epoch, head FROM log_head", Vec::new())
        .await?;
    Ok(Head { epoch, position })
}
