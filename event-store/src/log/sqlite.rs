//! Append on SQLite: one IMMEDIATE transaction per group. What happens to each batch is decided by
//! a pure function over what the file held when the lock was taken.

use std::collections::HashMap;

use database::{Database, Error, Json, Timestamp, Tx, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    append::{Append, AppendError, Appended, Expected},
    group_commit::{Outcome, Written},
};

/// What the file knows about a group's events.
#[derive(Default)]
struct Known {
    head: i64,
    stored: HashMap<Uuid, Stored>,
    /// Ids that got a place in this group; indexes into the places.
    fresh: HashMap<Uuid, usize>,
    versions: HashMap<String, i64>,
}

struct Stored {
    position: i64,
    stream: String,
    version: i64,
    event_type: String,
    payload: Value,
}

/// An event that gets a place.
struct Placed<'a> {
    append: &'a Append,
    position: i64,
    version: i64,
}

pub(super) async fn append(database: &Database, batches: &[Vec<Append>]) -> Result<Written, Error> {
    let mut tx = database.begin().await?;
    let mut known = load(&mut tx, batches).await?;
    let head_was = known.head;
    let mut placed = Vec::new();
    let outcomes = batches
        .iter()
        .map(|batch| place(batch, &mut known, &mut placed))
        .collect();
    if known.head > head_was {
        insert(&mut tx, &placed).await?;
        tx.execute("UPDATE log_head SET head = $1", params![known.head])
            .await?;
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(Written {
        head: known.head,
        outcomes,
    })
}

async fn load(tx: &mut Tx, batches: &[Vec<Append>]) -> Result<Known, Error> {
    let (head,): (i64,) = tx
        .fetch_one("SELECT head FROM log_head", Vec::new())
        .await?;
    let events = || batches.iter().flatten().map(|append| &append.event);
    let ids: Vec<Uuid> = events().map(|event| event.id).collect();
    let mut streams: Vec<String> = events().map(|event| event.stream.clone()).collect();
    streams.sort_unstable();
    streams.dedup();
    let stored: Vec<(Uuid, i64, String, i64, String, Json<Value>)> = tx
        .fetch_all(
            "SELECT id, position, stream, version, type, payload FROM events
             WHERE id IN (SELECT unhex(value) FROM json_each($1))",
            params![ids],
        )
        .await?;
    let versions: Vec<(String, i64)> = tx
        .fetch_all(
            "SELECT s.value, coalesce((SELECT max(version) FROM events WHERE stream = s.value), 0)
             FROM json_each($1) s",
            params![streams],
        )
        .await?;
    let stored = stored
        .into_iter()
        .map(|(id, position, stream, version, event_type, payload)| {
            (
                id,
                Stored {
                    position,
                    stream,
                    version,
                    event_type,
                    payload: payload.0,
                },
            )
        });
    Ok(Known {
        head,
        fresh: HashMap::new(),
        stored: stored.collect(),
        versions: versions.into_iter().collect(),
    })
}

/// Gives every event of a batch its place, or leaves everything as it was.
fn place<'a>(batch: &'a [Append], known: &mut Known, placed: &mut Vec<Placed<'a>>) -> Outcome {
    let before = placed.len();
    let answers = try_place(batch, known, placed);
    if answers.is_err() {
        placed.truncate(before);
        return answers;
    }
    for (index, new) in placed.iter().enumerate().skip(before) {
        known.head = new.position;
        known.fresh.insert(new.append.event.id, index);
        known
            .versions
            .insert(new.append.event.stream.clone(), new.version);
    }
    answers
}

fn try_place<'a>(batch: &'a [Append], known: &Known, placed: &mut Vec<Placed<'a>>) -> Outcome {
    let mut head = known.head;
    let mut versions: HashMap<&str, i64> = HashMap::new();
    let mut fresh: HashMap<Uuid, usize> = HashMap::new();
    let mut answers = Vec::with_capacity(batch.len());
    for append in batch {
        let event = &append.event;
        let earlier = fresh.get(&event.id).or_else(|| known.fresh.get(&event.id));
        let there = match (earlier, known.stored.get(&event.id)) {
            (Some(index), _) => Some(placed[*index].meets(append)),
            (None, Some(stored)) => Some(stored.meets(append)),
            (None, None) => None,
        };
        if let Some(answer) = there {
            answers.push(answer?);
            continue;
        }
        let actual = versions
            .get(event.stream.as_str())
            .or_else(|| known.versions.get(&event.stream))
            .copied()
            .unwrap_or(0);
        if append.expected == Expected::Exact && event.version != actual + 1 {
            let (stream, version) = (event.stream.clone(), event.version);
            return Err(if version > actual {
                AppendError::Ahead {
                    stream,
                    version,
                    actual,
                }
            } else {
                AppendError::Conflict {
                    stream,
                    version,
                    actual,
                }
            });
        }
        let version = actual + 1;
        head += 1;
        versions.insert(&event.stream, version);
        fresh.insert(event.id, placed.len());
        placed.push(Placed {
            append,
            position: head,
            version,
        });
        answers.push(Appended {
            position: head,
            version,
            duplicate: false,
        });
    }
    Ok(answers)
}

impl Stored {
    /// What an append of the same id comes to.
    fn meets(&self, append: &Append) -> Result<Appended, AppendError> {
        let event = &append.event;
        let same = self.stream == event.stream
            && self.event_type == event.event_type
            && self.payload == event.payload;
        duplicate(append, self.position, self.version, same)
    }
}

impl Placed<'_> {
    /// What another append of the same id in the same group comes to.
    fn meets(&self, append: &Append) -> Result<Appended, AppendError> {
        let (first, event) = (&self.append.event, &append.event);
        let same = first.stream == event.stream
            && first.event_type == event.event_type
            && first.payload == event.payload;
        duplicate(append, self.position, self.version, same)
    }
}

fn duplicate(
    append: &Append,
    position: i64,
    version: i64,
    same: bool,
) -> Result<Appended, AppendError> {
    let fits = append.expected == Expected::Any || append.event.version == version;
    if same && fits {
        Ok(Appended {
            position,
            version,
            duplicate: true,
        })
    } else {
        Err(AppendError::IdReused {
            id: append.event.id,
            position,
        })
    }
}

async fn insert(tx: &mut Tx, placed: &[Placed<'_>]) -> Result<(), Error> {
    let rows: Vec<Value> = placed.iter().map(row).collect();
    tx.execute(
        "INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version,
                             payload, occurred_at, correlation_id, causation_id, saga_id, step,
                             service_id, traceparent, recorded_at)
         SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4,
                value ->> 5, value ->> 6, value -> 7, value ->> 8, unhex(value ->> 9),
                unhex(value ->> 10), unhex(value ->> 11), value ->> 12, value ->> 13, value ->> 14,
                $2
         FROM json_each($1)",
        params![Value::Array(rows), Timestamp::system()],
    )
    .await?;
    Ok(())
}

fn row(placed: &Placed<'_>) -> Value {
    let event = &placed.append.event;
    let hex = |id: Uuid| id.simple().to_string();
    json!([
        placed.position,
        hex(event.id),
        event.stream,
        placed.version,
        event.event_type,
        event.aggregate_id,
        event.schema_version,
        event.payload,
        Timestamp::from(event.timestamp).as_micros(),
        hex(event.correlation_id),
        event.causation_id.map(hex),
        event.saga_id.map(hex),
        event.step,
        event.service_id,
        event.traceparent,
    ])
}
