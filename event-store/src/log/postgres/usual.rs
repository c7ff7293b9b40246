//! The usual group: every event new, every version the next one of its stream.
//!
//! Invariant: what this cannot take leaves nothing behind, so that `log_append` can decide about it.

use std::collections::{HashMap, HashSet};

use database::{Database, Error, Timestamp, params};
use serde_json::Value;

use crate::log::{
    append::{Append, Appended, Expected},
    group_commit::Written,
};

/// A group's streams, and where each event stands in its own.
pub(super) struct Group<'a> {
    streams: Vec<&'a str>,
    /// What a stream's first version here must be; none where any will do.
    first: Vec<Option<i64>>,
    /// For each event: its stream, and its place among that stream's events here, both from 1.
    places: Vec<(i64, i64)>,
}

impl<'a> Group<'a> {
    /// The group, unless it can be told already that it is not a usual one.
    pub(super) fn of(batches: &'a [Vec<Append>]) -> Option<Self> {
        let mut group = Self {
            streams: Vec::new(),
            first: Vec::new(),
            places: Vec::new(),
        };
        let mut ids = HashSet::new();
        // By name: the number, and how many events it has so far.
        let mut known: HashMap<&str, (usize, i64)> = HashMap::new();
        for append in batches.iter().flatten() {
            let event = &append.event;
            if !ids.insert(event.id) {
                return None;
            }
            let exact = (append.expected == Expected::Exact).then_some(event.version);
            let (number, count) = known.entry(&event.stream).or_insert_with(|| {
                group.streams.push(&event.stream);
                group.first.push(exact);
                (group.streams.len() - 1, 0)
            });
            if let Some(version) = exact
                && group.first[*number].is_none_or(|first| first + *count != version)
            {
                return None;
            }
            *count += 1;
            group
                .places
                .push((i64::try_from(*number).ok()? + 1, *count));
        }
        Some(group)
    }

    /// Appends it; `None` when the log has an id or another version of a stream.
    pub(super) async fn append(
        &self,
        database: &Database,
        batches: &[Vec<Append>],
    ) -> Result<Option<Written>, Error> {
        let sql = "SELECT head_before, versions_before FROM log_append_rows(
                       $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
        let answered = database.fetch_one(sql, self.values(batches)).await;
        let (head, versions): (Option<i64>, Option<Vec<i64>>) = match answered {
            Err(error) if error.is_unique_violation() => return Ok(None),
            answered => answered?,
        };
        let (Some(head), Some(versions)) = (head, versions) else {
            return Ok(None);
        };
        let mut next = head;
        let mut places = self.places.iter();
        let outcomes = batches.iter().map(|batch| {
            let appended = places.by_ref().take(batch.len()).map(|(stream, place)| {
                next += 1;
                let before = usize::try_from(stream - 1)
                    .ok()
                    .and_then(|at| versions.get(at));
                Ok(Appended {
                    position: next,
                    version: before.ok_or(Error::NotFound)? + place,
                    duplicate: false,
                })
            });
            appended.collect::<Result<Vec<_>, Error>>()
        });
        let outcomes = outcomes.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Written {
            head: next,
            outcomes: outcomes.into_iter().map(Ok).collect(),
        }))
    }

    fn values(&self, batches: &[Vec<Append>]) -> Vec<database::Value> {
        let events = || batches.iter().flatten().map(|append| &append.event);
        let names: Vec<String> = self.streams.iter().map(ToString::to_string).collect();
        let (streams, places): (Vec<i64>, Vec<i64>) = self.places.iter().copied().unzip();
        params![
            names,
            self.first.clone(),
            events().map(|event| event.id).collect::<Vec<_>>(),
            streams,
            places,
            texts(events().map(|event| event.event_type.clone())),
            texts(events().map(|event| event.aggregate_id.clone())),
            events()
                .map(|event| event.schema_version)
                .collect::<Vec<_>>(),
            texts(events().map(|event| Value::to_string(&event.payload))),
            events()
                .map(|event| Timestamp::from(event.timestamp))
                .collect::<Vec<_>>(),
            events()
                .map(|event| event.correlation_id)
                .collect::<Vec<_>>(),
            events().map(|event| event.causation_id).collect::<Vec<_>>(),
            events().map(|event| event.saga_id).collect::<Vec<_>>(),
            events().map(|event| event.step.clone()).collect::<Vec<_>>(),
            texts(events().map(|event| event.service_id.clone())),
            events()
                .map(|event| event.traceparent.clone())
                .collect::<Vec<_>>(),
        ]
    }
}

fn texts(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect()
}
