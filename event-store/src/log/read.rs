//! Reading by position, stream, type and correlation, always with a bound.

use contracts::{Event, Recorded};
use database::{Database, Dialect, Error, Json, Sql, Timestamp, Value, params};
use uuid::Uuid;

use super::Head;

/// Events in one answer at most: some megabytes.
pub const READ_LIMIT: u32 = 1_000;

/// What to read: a selection, a place to start, a direction and a bound (100 unless told).
#[derive(Clone, Debug, PartialEq)]
pub struct ReadQuery {
    selection: Selection,
    /// Exclusive: above it forward, below it backward.
    from: i64,
    direction: Direction,
    limit: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Selection {
    All,
    Stream(String),
    Types(Vec<String>),
    Correlation(Uuid),
    Id(Uuid),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Forward,
    Backward,
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
            selection: Selection::All,
            from,
            direction,
            limit: 100,
        }
    }

    /// The same from the other end: newest first, below the position. One made by
    /// [`ReadQuery::after`] with 0 starts at the head.
    #[must_use]
    pub fn backward(mut self) -> Self {
        if self.direction == Direction::Forward && self.from == 0 {
            self.from = i64::MAX;
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

    /// Only this stream's events; replaces an earlier selection.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.selection = Selection::Stream(stream.into());
        self
    }

    /// Only these types' events; replaces an earlier selection.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.selection = Selection::Types(types.into_iter().map(Into::into).collect());
        self
    }

    /// Only the events of one correlation; replaces an earlier selection.
    #[must_use]
    pub fn correlation(mut self, id: Uuid) -> Self {
        self.selection = Selection::Correlation(id);
        self
    }

    /// Only the event with this id; replaces an earlier selection.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.selection = Selection::Id(id);
        self
    }
}

/// Every statement reads the epoch with the events, so that an event always names the log that it
/// really came from.
macro_rules! select {
    ($condition:literal) => {
        [
            concat!(select!(@base), $condition, " AND position > $1 ORDER BY position LIMIT $2"),
            concat!(select!(@base), $condition, " AND position < $1 ORDER BY position DESC LIMIT $2"),
        ]
    };
    (@base) => {
        "SELECT (SELECT epoch FROM log_head) AS epoch, position, id, stream, version, type,
                aggregate_id, schema_version, payload, occurred_at, correlation_id, causation_id,
                saga_id, step, service_id, traceparent, recorded_at
         FROM events WHERE "
    };
}

const ALL: [&str; 2] = select!("TRUE");
const BY_STREAM: [&str; 2] = select!("stream = $3");
const BY_CORRELATION: [&str; 2] = select!("correlation_id = $3");
const BY_ID: [&str; 2] = select!("id = $3");
const BY_TYPES: [[&str; 2]; 2] = [
    select!("type = ANY($3)"),
    select!("type IN (SELECT value FROM json_each($3))"),
];

#[derive(database::Record)]
struct Row {
    epoch: Uuid,
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

pub(super) async fn events(database: &Database, query: &ReadQuery) -> Result<Vec<Recorded>, Error> {
    let turn = query.direction as usize;
    let mut values = params![query.from, query.limit];
    let sql: Sql = match &query.selection {
        Selection::All => ALL[turn].into(),
        Selection::Stream(stream) => {
            values.push(stream.into());
            BY_STREAM[turn].into()
        }
        Selection::Types(types) => {
            values.push(Value::Texts(types.clone()));
            Sql::by_dialect(BY_TYPES[0][turn], BY_TYPES[1][turn])
        }
        Selection::Correlation(id) => {
            values.push((*id).into());
            BY_CORRELATION[turn].into()
        }
        Selection::Id(id) => {
            values.push((*id).into());
            BY_ID[turn].into()
        }
    };
    let rows: Vec<Row> = database.fetch_all(sql, values).await?;
    Ok(rows.into_iter().map(Into::into).collect())
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
