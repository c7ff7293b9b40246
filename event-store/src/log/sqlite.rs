//! Append on SQLite: one IMMEDIATE transaction per group. What happens to each batch is decided by
//! a pure function over what the file held when the lock was taken.

mod archived;

use std::collections::HashMap;

use database::{Database, Error, Json, Record, Timestamp, Tx, Value as Bound, params};
use serde_json::Value;
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

#[derive(Record)]
struct Stored {
    position: i64,
    stream: String,
    version: i64,
    #[record(name = "type")]
    event_type: String,
    /// None of an event that lies in a file.
    payload: Option<Json<Value>>,
}

/// An event that gets a place.
struct Placed<'a> {
    append: &'a Append,
    position: i64,
    version: i64,
}

/// Appends a group. The usual one has only new events whose versions fit, so it is written as if
/// they were; the file refuses an id that it has, and then, or when a version does not fit, the group
/// is done again with all that the file knows about it.
pub(super) async fn append(database: &Database, batches: &[Vec<Append>]) -> Result<Written, Error> {
    match try_append(database, batches, Ids::TakenAsNew).await? {
        Some(written) => Ok(written),
        None => {
            let written = try_append(database, batches, Ids::LookedFor).await?;
            written.ok_or(Error::NotFound)
        }
    }
}

/// What is known of a group's ids before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    TakenAsNew,
    LookedFor,
}

/// `None` when something was refused that may be there already.
async fn try_append(
    database: &Database,
    batches: &[Vec<Append>],
    ids: Ids,
) -> Result<Option<Written>, Error> {
    let mut tx = database.begin().await?;
    let Some(mut known) = load(&mut tx, batches, ids).await? else {
        tx.rollback().await?;
        return Ok(None);
    };
    let head_was = known.head;
    let mut placed = Vec::new();
    let outcomes: Vec<Outcome> = batches
        .iter()
        .map(|batch| place(batch, &mut known, &mut placed))
        .collect();
    let is_usual = outcomes.iter().all(Result::is_ok);
    if ids == Ids::TakenAsNew && !is_usual {
        tx.rollback().await?;
        return Ok(None);
    }
    if known.head > head_was {
        match insert(&mut tx, &placed).await {
            Err(error) if ids == Ids::TakenAsNew && error.is_unique_violation() => {
                tx.rollback().await?;
                return Ok(None);
            }
            inserted => inserted?,
        }
        tx.execute("UPDATE log_head SET head = $1", params![known.head])
            .await?;
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(Some(Written {
        head: known.head,
        outcomes,
    }))
}

/// `None` when an event that is taken as new is there already.
async fn load(tx: &mut Tx, batches: &[Vec<Append>], ids: Ids) -> Result<Option<Known>, Error> {
    let (head, keys_to): (i64, i64) = tx
        .fetch_one("SELECT head, keys_to FROM log_head", Vec::new())
        .await?;
    let mut known = Known {
        head,
        ..Known::default()
    };
    for Append { event, .. } in batches.iter().flatten() {
        if !known.versions.contains_key(&event.stream) {
            let sql = "SELECT coalesce(max(version), 0) FROM events WHERE stream = $1";
            let (version,) = tx.fetch_one(sql, params![&event.stream]).await?;
            known.versions.insert(event.stream.clone(), version);
        }
        if ids == Ids::LookedFor {
            let sql = "SELECT position, stream, version, type, payload FROM events WHERE id = $1";
            let stored = tx.fetch_optional(sql, params![event.id]).await?;
            known.stored.extend(stored.map(|stored| (event.id, stored)));
        }
    }
    let fits = keys_to == 0 || archived::add(tx, batches, ids, &mut known).await?;
    Ok(fits.then_some(known))
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
            && (self.payload.as_ref()).is_none_or(|payload| payload.0 == event.payload);
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
    let recorded_at = Timestamp::system();
    let rows = placed.iter().map(|placed| row(placed, recorded_at));
    tx.execute_each(
        "INSERT INTO events (position, id, stream, version, type, aggregate_id, schema_version,
                             payload, occurred_at, correlation_id, causation_id, saga_id, step,
                             service_id, traceparent, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        rows.collect(),
    )
    .await?;
    Ok(())
}

fn row(placed: &Placed<'_>, recorded_at: Timestamp) -> Vec<Bound> {
    let event = &placed.append.event;
    params![
        placed.position,
        event.id,
        &event.stream,
        placed.version,
        &event.event_type,
        &event.aggregate_id,
        event.schema_version,
        event.payload.clone(),
        Timestamp::from(event.timestamp),
        event.correlation_id,
        event.causation_id,
        event.saga_id,
        event.step.clone(),
        &event.service_id,
        event.traceparent.clone(),
        recorded_at,
    ]
}
