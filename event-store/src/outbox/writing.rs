//! The SQL that writes events: on PostgreSQL, where each statement is a round trip, few however many
//! events there are; on SQLite, where it is a call, the plainest for each event.
//!
//! Plans are made while the outbox is small and kept while it grows, so ids are looked for one by
//! one in their index, and never by a join that the planner could turn into a scan.

use std::collections::{BTreeMap, HashMap};

use contracts::Event;
use database::{Dialect, Error, Json, Timestamp, Tx, params};
use uuid::Uuid;

/// The events that the outbox has of these ids.
pub(super) async fn known(tx: &mut Tx, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Event>, Error> {
    const KNOWN: &str = "SELECT known.event FROM unnest($1::UUID[]) AS given (id)
         CROSS JOIN LATERAL (SELECT event FROM outbox WHERE outbox.id = given.id LIMIT 1) AS known";
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut rows: Vec<(Json<Event>,)> = Vec::new();
    match tx.dialect() {
        Dialect::Postgres => rows = tx.fetch_all(KNOWN, params![ids]).await?,
        Dialect::Sqlite => {
            for id in ids {
                let sql = "SELECT event FROM outbox WHERE id = $1";
                rows.extend(tx.fetch_optional(sql, params![id]).await?);
            }
        }
    }
    let by_id = |(Json(event),): (Json<Event>,)| (event.id, event);
    Ok(rows.into_iter().map(by_id).collect())
}

/// Versions that nobody else can have, and when they were given.
pub(super) struct Versions {
    next: HashMap<String, i64>,
    pub(super) now: Timestamp,
}

impl Versions {
    /// The next one of a stream.
    pub(super) fn next(&mut self, stream: &str) -> Option<i64> {
        let next = self.next.get_mut(stream)?;
        *next += 1;
        Some(*next - 1)
    }
}

/// Raises each stream by as many versions as it is named, and locks it.
pub(super) async fn raise<'a>(
    tx: &mut Tx,
    streams: impl Iterator<Item = &'a str>,
) -> Result<Versions, Error> {
    // PostgreSQL's clock comes along with the versions; SQLite's is this machine's.
    const RAISE: &str = "INSERT INTO stream_versions (stream, version)
         SELECT stream, wanted FROM unnest($1::TEXT[], $2::BIGINT[]) AS given (stream, wanted)
         ORDER BY stream
         ON CONFLICT (stream) DO UPDATE SET version = stream_versions.version + excluded.version
         RETURNING stream, version, clock_timestamp()";
    const RAISE_ONE: &str = "INSERT INTO stream_versions (stream, version) VALUES ($1, $2)
         ON CONFLICT (stream) DO UPDATE SET version = stream_versions.version + excluded.version
         RETURNING stream, version, NULL";
    // In one order for everybody, so that two transactions never wait for each other's streams.
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for stream in streams {
        *wanted.entry(stream).or_default() += 1;
    }
    let mut versions = Versions {
        next: HashMap::new(),
        now: Timestamp::system(),
    };
    if wanted.is_empty() {
        return Ok(versions);
    }
    let mut rows: Vec<(String, i64, Option<Timestamp>)> = Vec::new();
    match tx.dialect() {
        Dialect::Postgres => {
            let names: Vec<String> = wanted.keys().map(ToString::to_string).collect();
            let counts: Vec<i64> = wanted.values().copied().collect();
            rows = tx.fetch_all(RAISE, params![names, counts]).await?;
        }
        Dialect::Sqlite => {
            for (name, count) in &wanted {
                rows.push(tx.fetch_one(RAISE_ONE, params![*name, *count]).await?);
            }
        }
    }
    for (stream, last, now) in rows {
        let wanted = wanted.get(stream.as_str()).copied().unwrap_or_default();
        versions.next.insert(stream, last - wanted + 1);
        versions.now = now.unwrap_or(versions.now);
    }
    Ok(versions)
}

/// Writes the rows of new events, in their order.
pub(super) async fn insert(tx: &mut Tx, events: &[Event], now: Timestamp) -> Result<(), Error> {
    const INSERT: &str = "INSERT INTO outbox (id, stream, version, event, written_at)
         SELECT (event ->> 'id')::UUID, event ->> 'stream', (event ->> 'version')::BIGINT,
                event, $2
         FROM jsonb_array_elements($1) WITH ORDINALITY AS given (event, number)
         ORDER BY number";
    const INSERT_ONE: &str = "INSERT INTO outbox (id, stream, version, event, written_at)
         VALUES ($1, $2, $3, $4, $5)";
    if events.is_empty() {
        return Ok(());
    }
    match tx.dialect() {
        Dialect::Postgres => {
            let events = serde_json::to_value(events).map_err(Error::query)?;
            tx.execute(INSERT, params![events, now]).await?;
        }
        Dialect::Sqlite => {
            let row = |event: &Event| {
                let json = serde_json::to_string(event).map_err(Error::query)?;
                Ok(params![event.id, &event.stream, event.version, json, now])
            };
            let rows = events.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
            tx.execute_each(INSERT_ONE, rows).await?;
        }
    }
    Ok(())
}
