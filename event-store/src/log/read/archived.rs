//! What a query asks for of the events that lie in files.
//!
//! Invariant: an answer is what it would be if nothing had been archived. The table's part of it and
//! the floor come from one snapshot, so an event is in exactly one of both; where the table has nothing,
//! the floor is newer, and what lies below it was not in the table either.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use contracts::Recorded;
use database::{Database, Error, Timestamp, params};

use super::{Direction, READ_LIMIT, ReadQuery, category_of, files::Files};
use crate::log::{
    ArchivedRange,
    archived::{self, Floor, taken_at},
    within,
};

/// Finds events in files.
pub(in crate::log) struct Archived {
    /// As they were read last; they only grow.
    ranges: Mutex<Arc<Vec<ArchivedRange>>>,
    files: Arc<Files>,
    timeout: Duration,
}

impl Archived {
    pub(in crate::log) fn new(folder: Option<PathBuf>, timeout: Duration) -> Self {
        Self {
            ranges: Mutex::default(),
            files: Files::new(folder),
            timeout,
        }
    }

    /// Adds to what the table has for a query what files have.
    pub(super) async fn complete(
        &self,
        database: &Database,
        query: &ReadQuery,
        mut events: Vec<Recorded>,
        floor: Floor,
    ) -> Result<Vec<Recorded>, Error> {
        let limit = query.limit as usize;
        match query.direction {
            Direction::Forward => {
                let mut all = self.find(database, query, floor, limit).await?;
                events.truncate(limit - all.len());
                all.append(&mut events);
                Ok(all)
            }
            Direction::Backward => {
                let left = limit - events.len();
                events.extend(self.find(database, query, floor, left).await?);
                Ok(events)
            }
        }
    }

    /// The newest position up to the floor whose event the log took before `time`.
    pub(in crate::log) async fn position_before(
        &self,
        database: &Database,
        floor: Floor,
        time: Timestamp,
    ) -> Result<i64, Error> {
        let ranges = self.ranges(database, floor).await?;
        let at = ranges.partition_point(|range| range.taken_to < time);
        let Some(range) = ranges.get(at) else {
            return Ok(floor.position);
        };
        let events = self.events(range).await?;
        let within = events_of(range, &events);
        let before = within.partition_point(|event| taken_at(event) < time);
        Ok(range.first - 1 + i64::try_from(before).unwrap_or(i64::MAX))
    }

    async fn find(
        &self,
        database: &Database,
        query: &ReadQuery,
        floor: Floor,
        limit: usize,
    ) -> Result<Vec<Recorded>, Error> {
        let ranges = self.ranges(database, floor).await?;
        let mut found = Found {
            query,
            floor,
            limit,
            events: Vec::new(),
        };
        let has_keys = query.id.is_some() || query.correlation.is_some() || query.stream.is_some();
        if has_keys && limit > 0 {
            self.find_by_keys(database, &ranges, &mut found).await?;
            return Ok(found.events);
        }
        let wanted = ranges.iter().filter(|range| query.may_be_in(range));
        let mut wanted: Vec<&ArchivedRange> = wanted.collect();
        if query.direction == Direction::Backward {
            wanted.reverse();
        }
        for range in wanted {
            if found.is_full() {
                break;
            }
            let events = self.events(range).await?;
            let within = events_of(range, &events);
            match query.direction {
                Direction::Forward => within.iter().for_each(|event| found.meet(event)),
                Direction::Backward => within.iter().rev().for_each(|event| found.meet(event)),
            }
        }
        Ok(found.events)
    }

    /// Finds by the keys that the database keeps, which say where each event lies.
    async fn find_by_keys(
        &self,
        database: &Database,
        ranges: &[ArchivedRange],
        found: &mut Found<'_>,
    ) -> Result<(), Error> {
        let mut query = found.query.clone();
        loop {
            let looked = keys(database, &query, found.floor.position);
            let places = within(self.timeout, looked).await?;
            for (position, version) in &places {
                let at = ranges.partition_point(|range| range.last < *position);
                let range = ranges.get(at).ok_or_else(|| lost(*position))?;
                let events = self.events(range).await?;
                let event = event_at(&events, *position).ok_or_else(|| lost(*position))?;
                found.meet(event);
                if found.is_full() {
                    return Ok(());
                }
                (query.from, query.version) = (*position, *version);
            }
            if places.len() < READ_LIMIT as usize {
                return Ok(());
            }
        }
    }

    async fn events(&self, range: &ArchivedRange) -> Result<Arc<Vec<Recorded>>, Error> {
        let events = self.files.events(range, self.timeout).await;
        if events.is_err() {
            // The archive may have moved, and the database know where to.
            *self.known() = Arc::default();
        }
        events
    }

    async fn ranges(
        &self,
        database: &Database,
        floor: Floor,
    ) -> Result<Arc<Vec<ArchivedRange>>, Error> {
        let reach = |ranges: &[ArchivedRange]| ranges.last().map_or(0, |range| range.last);
        let known = Arc::clone(&self.known());
        if reach(&known) >= floor.position {
            return Ok(known);
        }
        let ranges = Arc::new(within(self.timeout, archived::ranges(database)).await?);
        if reach(&ranges) < floor.position {
            return Err(lost(floor.position));
        }
        *self.known() = Arc::clone(&ranges);
        Ok(ranges)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Arc<Vec<ArchivedRange>>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(position: i64) -> Error {
    Error::query(format!(
        "no range of archived_ranges has position {position}, whose row was archived"
    ))
}

/// What of a file's events belongs to the range.
fn events_of<'a>(range: &ArchivedRange, events: &'a [Recorded]) -> &'a [Recorded] {
    let begin = events.partition_point(|event| event.position < range.first);
    let end = events.partition_point(|event| event.position <= range.last);
    &events[begin..end]
}

fn event_at(events: &[Recorded], position: i64) -> Option<&Recorded> {
    let first = events.first()?.position;
    events.get(usize::try_from(position - first).ok()?)
}

/// What was found so far, in the query's order.
struct Found<'a> {
    query: &'a ReadQuery,
    floor: Floor,
    limit: usize,
    events: Vec<Recorded>,
}

impl Found<'_> {
    fn is_full(&self) -> bool {
        self.events.len() >= self.limit
    }

    fn meet(&mut self, event: &Recorded) {
        let (query, position) = (self.query, event.position);
        let is_beyond = match query.direction {
            Direction::Forward => position > query.from,
            Direction::Backward => position < query.from,
        };
        let is_it = query.id.is_none_or(|id| id == event.event.id);
        if self.is_full()
            || !is_beyond
            || position > self.floor.position
            || !is_it
            || !query.takes(&event.event)
        {
            return;
        }
        self.events.push(Recorded {
            // The file may be of the identity that the log had then; what is shared is this log's.
            epoch: self.floor.epoch,
            ..event.clone()
        });
    }
}

impl ReadQuery {
    /// Whether the range can have an event that is asked for.
    fn may_be_in(&self, range: &ArchivedRange) -> bool {
        let is_beyond = match self.direction {
            Direction::Forward => range.last > self.from,
            Direction::Backward => range.first < self.from,
        };
        let category = self.category.as_deref().map(category_of);
        is_beyond
            && category.is_none_or(|category| range.categories.contains(category))
            && (self.types.is_empty()
                || (self.types.iter()).any(|wanted| range.types.contains_key(wanted)))
    }
}

/// Position and version of what the kept keys have for a query, up to the floor, in its order.
async fn keys(
    database: &Database,
    query: &ReadQuery,
    floor: i64,
) -> Result<Vec<(i64, i64)>, Error> {
    let forward = query.direction == Direction::Forward;
    let limit = READ_LIMIT;
    if let Some(id) = query.id {
        let sql = "SELECT position, version FROM archived_keys WHERE id = $1 AND position <= $2";
        return database.fetch_all(sql, params![id, floor]).await;
    }
    if let Some(correlation) = query.correlation {
        let sql = match forward {
            true => {
                "SELECT position, version FROM archived_keys
                 WHERE correlation_id = $1 AND position > $2 AND position <= $3
                 ORDER BY position LIMIT $4"
            }
            false => {
                "SELECT position, version FROM archived_keys
                 WHERE correlation_id = $1 AND position < $2 AND position <= $3
                 ORDER BY position DESC LIMIT $4"
            }
        };
        let values = params![correlation, query.from, floor, limit];
        return database.fetch_all(sql, values).await;
    }
    let sql = match forward {
        true => {
            "SELECT position, version FROM archived_keys
             WHERE stream = $1 AND version > $2 AND position > $3 AND position <= $4
             ORDER BY version LIMIT $5"
        }
        false => {
            "SELECT position, version FROM archived_keys
             WHERE stream = $1 AND version < $2 AND position < $3 AND position <= $4
             ORDER BY version DESC LIMIT $5"
        }
    };
    let stream = query.stream.clone();
    let values = params![stream, query.version, query.from, floor, limit];
    database.fetch_all(sql, values).await
}
