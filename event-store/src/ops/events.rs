use std::time::Duration;

use axum::{Router, extract::State, routing::get};
use chassis::{
    Problem,
    http::{Json, Path, Query},
};
use contracts::{Recorded, http::Items};
use database::{Timestamp, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::unavailable;
use crate::{
    Log, ReadQuery,
    log::{ArchivedRange, Head, READ_LIMIT, category_of},
};

/// The longest wait of a tail: below the HTTP stack's own bound.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// What the log holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The log's identity.
    pub epoch: Uuid,
    /// The newest position, which is also the number of events.
    pub head: i64,
    /// Streams in it.
    pub streams: i64,
    /// When the oldest event happened.
    pub first_at: Option<Timestamp>,
    /// When the newest event happened.
    pub last_at: Option<Timestamp>,
    /// Every event type, the most frequent first.
    pub items: Vec<TypeCount>,
}

/// How often an event type occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeCount {
    /// The type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its events.
    pub events: i64,
    /// The newest one's position.
    pub last_position: i64,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reading {
    after: Option<i64>,
    before: Option<i64>,
    /// What the log took at this time or later; backward, what it took before.
    since: Option<Timestamp>,
    backward: bool,
    limit: Option<u32>,
    stream: Option<String>,
    category: Option<String>,
    types: Option<String>,
    correlation: Option<Uuid>,
    /// Seconds to wait for an event above `after` when there is none.
    wait: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HeadAt {
    before: Option<Timestamp>,
}

pub(super) fn router(log: Log) -> Router {
    Router::new()
        .route("/events", get(read))
        .route("/events/head", get(head))
        .route("/events/stats", get(stats))
        .route("/events/trace/{correlation}", get(trace))
        .route("/events/{event_id}", get(show))
        .with_state(log)
}

impl Reading {
    async fn query(&self, log: &Log) -> Result<ReadQuery, Problem> {
        let mut query = self.place(log).await?;
        if let Some(stream) = &self.stream {
            query = query.stream(stream);
        }
        if let Some(category) = &self.category {
            if category_of(category) != category {
                let detail = "A category is what stands before a stream's first hyphen.";
                return Err(Problem::unprocessable("invalid_field", detail).field("category"));
            }
            query = query.category(category);
        }
        if let Some(types) = &self.types {
            query = query.types(types.split(',').map(str::trim));
        }
        if let Some(correlation) = self.correlation {
            query = query.correlation(correlation);
        }
        Ok(query.limit(self.limit.unwrap_or(100)))
    }

    async fn place(&self, log: &Log) -> Result<ReadQuery, Problem> {
        let places = [
            ("after", self.after.is_some()),
            ("before", self.before.is_some()),
            ("since", self.since.is_some()),
        ];
        let mut given = places.into_iter().filter(|(_, given)| *given);
        if let (Some(_), Some((second, _))) = (given.next(), given.next()) {
            let detail = "Give one of `after`, `before` and `since`.";
            return Err(Problem::unprocessable("two_places", detail).field(second));
        }
        if let Some(before) = self.before {
            return Ok(ReadQuery::before(before));
        }
        if let Some(since) = self.since {
            let position = log.position_before(since).await.map_err(unavailable)?;
            return Ok(if self.backward {
                ReadQuery::before(position + 1)
            } else {
                ReadQuery::after(position)
            });
        }
        let query = ReadQuery::after(self.after.unwrap_or_default());
        Ok(if self.backward {
            query.backward()
        } else {
            query
        })
    }
}

async fn read(
    State(log): State<Log>,
    Query(reading): Query<Reading>,
) -> Result<Json<Items<Recorded>>, Problem> {
    let query = reading.query(&log).await?;
    let forward = reading.before.is_none() && !reading.backward;
    let wait = Duration::from_secs(reading.wait.unwrap_or_default()).min(MAX_WAIT);
    let mut appended = log.appended();
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        appended.borrow_and_update();
        let items = opened(&log, &query).await?;
        if !items.is_empty() || !forward || wait.is_zero() {
            return Ok(Json(Items { items }));
        }
        if !matches!(
            tokio::time::timeout_at(deadline, appended.changed()).await,
            Ok(Ok(()))
        ) {
            return Ok(Json(Items { items }));
        }
    }
}

/// Events with their personal fields, where this process can open them.
async fn opened(log: &Log, query: &ReadQuery) -> Result<Vec<Recorded>, Problem> {
    let stored = log.read(query).await.map_err(unavailable)?;
    let opened = log.personal().open(stored).await;
    opened.map_err(|error| unavailable(error.into()))
}

async fn show(State(log): State<Log>, Path(id): Path<Uuid>) -> Result<Json<Recorded>, Problem> {
    let found = opened(&log, &ReadQuery::after(0).id(id)).await?.pop();
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found("no_such_event", format!("No event {id} in the log.")))
}

async fn trace(
    State(log): State<Log>,
    Path(correlation): Path<Uuid>,
) -> Result<Json<Items<Recorded>>, Problem> {
    let query = ReadQuery::after(0)
        .correlation(correlation)
        .limit(READ_LIMIT);
    let items = opened(&log, &query).await?;
    Ok(Json(Items { items }))
}

/// The head, or with `before` the newest position that the log took before that time.
async fn head(
    State(log): State<Log>,
    Query(HeadAt { before }): Query<HeadAt>,
) -> Result<Json<Head>, Problem> {
    let mut head = log.head().await.map_err(unavailable)?;
    if let Some(time) = before {
        head.position = log.position_before(time).await.map_err(unavailable)?;
    }
    Ok(Json(head))
}

async fn stats(State(log): State<Log>) -> Result<Json<Stats>, Problem> {
    count(&log).await.map(Json).map_err(unavailable)
}

async fn count(log: &Log) -> Result<Stats, database::Error> {
    let head = log.head().await?;
    let archived = log.archived_ranges().await?;
    let mut types: Vec<(String, i64, i64)> = log
        .database()
        .fetch_all(
            "SELECT type, COUNT(*), MAX(position) FROM events GROUP BY type",
            params![],
        )
        .await?;
    add_archived(&mut types, &archived);
    let sql = "SELECT COUNT(*) FROM events WHERE version = 1";
    let (streams,): (i64,) = log.database().fetch_one(sql, params![]).await?;
    let streams = streams + archived.iter().map(|range| range.streams).sum::<i64>();
    let sql = "SELECT (SELECT occurred_at FROM events ORDER BY position LIMIT 1),
                      (SELECT occurred_at FROM events ORDER BY position DESC LIMIT 1)";
    let (first_at, last_at) = log.database().fetch_one(sql, params![]).await?;
    let first_at = archived.first().map(|range| range.first_at).or(first_at);
    let last_at = match last_at {
        None if !archived.is_empty() => {
            let newest = log.read(&ReadQuery::newest().limit(1)).await?.pop();
            newest.map(|event| event.event.timestamp.into())
        }
        last_at => last_at,
    };
    let items = types
        .into_iter()
        .map(|(event_type, events, last_position)| TypeCount {
            event_type,
            events,
            last_position,
        })
        .collect();
    Ok(Stats {
        epoch: head.epoch,
        head: head.position,
        streams,
        first_at,
        last_at,
        items,
    })
}

/// Adds what lies in files, and sorts by how many there are.
fn add_archived(types: &mut Vec<(String, i64, i64)>, archived: &[ArchivedRange]) {
    for (name, (events, last)) in archived.iter().flat_map(|range| &range.types) {
        match types.iter_mut().find(|(of, ..)| of == name) {
            Some((_, sum, newest)) => (*sum, *newest) = (*sum + events, (*newest).max(*last)),
            None => types.push((name.clone(), *events, *last)),
        }
    }
    types.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
}
