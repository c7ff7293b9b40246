//! The SQL that writes events: few statements, however many events there are.
//!
//! Plans are made while the outbox is small and kept while it grows, so ids are looked for one by
//! one in their index, and never by a join that the planner could turn into a scan.

use std::collections::{BTreeMap, HashMap};

use contracts::Event;
use database::{Error, Json, Sql, Timestamp, Tx, params};
use serde_json::Value;
use uuid::Uuid;

/// The events that the outbox has of these ids.
pub(super) async fn known(tx: &mut Tx, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Event>, Error> {
    const KNOWN: Sql = Sql::by_dialect(
        "SELECT known.event FROM unnest($1::UUID[]) AS given (id)
         CROSS JOIN LATERAL (SELECT event FROM outbox WHERE outbox.id = given.id LIMIT 1) AS known",
        "SELECT event FROM outbox WHERE id IN (SELECT unhex(value) FROM json_each($1))",
    );
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Json<Event>,)> = tx.fetch_all(KNOWN, params![ids]).await?;
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
    const RAISE: Sql = Sql::by_dialect(
        "INSERT INTO stream_versions (stream, version)
         SELECT stream, wanted FROM unnest($1::TEXT[], $2::BIGINT[]) AS given (stream, wanted)
         ORDER BY stream
         ON CONFLICT (stream) DO UPDATE SET version = stream_versions.version + excluded.version
         RETURNING stream, version, clock_timestamp()",
        "INSERT INTO stream_versions (stream, version)
         SELECT streams.value, wanted.value
         FROM json_each($1) AS streams JOIN json_each($2) AS wanted USING (key) WHERE TRUE
         ON CONFLICT (stream) DO UPDATE SET version = stream_versions.version + excluded.version
         RETURNING stream, version, NULL",
    );
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
    let names: Vec<String> = wanted.keys().map(ToString::to_string).collect();
    let counts: Vec<i64> = wanted.values().copied().collect();
    let rows: Vec<(String, i64, Option<Timestamp>)> =
        tx.fetch_all(RAISE, params![names, counts]).await?;
    for (stream, last, now) in rows {
        let wanted = wanted.get(stream.as_str()).copied().unwrap_or_default();
        versions.next.insert(stream, last - wanted + 1);
        versions.now = now.unwrap_or(versions.now);
    }
    Ok(versions)
}

/// Writes the rows of new events, in their order.
pub(super) async fn insert(tx: &mut Tx, events: Vec<Value>, now: Timestamp) -> Result<(), Error> {
    const INSERT: Sql = Sql::by_dialect(
        "INSERT INTO outbox (id, stream, version, event, written_at)
         SELECT (event ->> 'id')::UUID, event ->> 'stream', (event ->> 'version')::BIGINT,
                event, $2
         FROM jsonb_array_elements($1) WITH ORDINALITY AS given (event, number)
         ORDER BY number",
        "INSERT INTO outbox (id, stream, version, event, written_at)
         SELECT unhex(replace(value ->> 'id', '-', '')), value ->> 'stream',
                value ->> 'version', value, $2
         FROM json_each($1) ORDER BY key",
    );
    if !events.is_empty() {
        tx.execute(INSERT, params![Value::Array(events), now])
            .await?;
    }
    Ok(())
}
