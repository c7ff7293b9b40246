//! What the log has given away to the archive's files, as its database tells it.
//!
//! Invariant: the ranges whose rows are gone follow one another from position 1 up to `archived_to` of
//! `log_head`; that, a row's absence and its range's note are one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use contracts::Recorded;
use database::{Database, Error, Json, Record, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::category_of;
use crate::archive::Segment;

/// A closed range of events whose rows are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedRange {
    /// The first position.
    pub first: i64,
    /// The last position.
    pub last: i64,
    /// The archive, as who removed the rows names it.
    pub folder: String,
    /// The file below it; it may hold more than the range.
    pub file: String,
    /// The file's size.
    pub bytes: i64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// What it holds of each type: how many, and the last one's position.
    pub types: BTreeMap<String, (i64, i64)>,
    /// The categories of its streams.
    pub categories: BTreeSet<String>,
    /// Streams that begin in it.
    pub streams: i64,
    /// When its first event happened.
    pub first_at: Timestamp,
    /// When the log took its last event.
    pub taken_to: Timestamp,
}

impl ArchivedRange {
    /// The range `first..=last` of events, in the file of `segment`, which holds them. `None` without
    /// any event.
    pub(crate) fn of(
        folder: &Path,
        epoch: Uuid,
        segment: &Segment,
        events: &[Recorded],
    ) -> Option<Self> {
        let (first, last) = (events.first()?, events.last()?);
        let mut types = BTreeMap::new();
        for event in events {
            let of_type = types
                .entry(event.event.event_type.clone())
                .or_insert((0, 0));
            *of_type = (of_type.0 + 1, event.position);
        }
        let beginnings = events.iter().filter(|event| event.event.version == 1);
        Some(Self {
            first: first.position,
            last: last.position,
            folder: folder.display().to_string(),
            file: format!("{epoch}/{}", segment.file),
            bytes: i64::try_from(segment.bytes).unwrap_or(i64::MAX),
            sha256: segment.sha256.clone(),
            types,
            categories: events
                .iter()
                .map(|event| category_of(&event.event.stream).to_owned())
                .collect(),
            streams: i64::try_from(beginnings.count()).unwrap_or(i64::MAX),
            first_at: first.event.timestamp.into(),
            taken_to: taken_at(last),
        })
    }

    /// Where its file is: below the archive's folder as this process knows it, or else as it was noted.
    pub(crate) fn path(&self, archive: Option<&Path>) -> PathBuf {
        let here = archive.map(|folder| folder.join(&self.file));
        match here {
            Some(path) if path.exists() => path,
            _ => Path::new(&self.folder).join(&self.file),
        }
    }
}

/// When the log took an event; for one from before that was noted, when it happened.
pub(super) fn taken_at(event: &Recorded) -> Timestamp {
    event.recorded_at.unwrap_or(event.event.timestamp).into()
}

/// Where files end and the table begins.
#[derive(Clone, Copy, Debug, Record)]
pub(super) struct Floor {
    /// Whose events they are.
    pub(super) epoch: Uuid,
    /// The last position whose row is gone; 0 while all are there.
    #[record(name = "archived_to")]
    pub(super) position: i64,
}

pub(super) async fn floor(database: &Database) -> Result<Floor, Error> {
    let sql = "SELECT epoch, archived_to FROM log_head";
    database.fetch_one(sql, Vec::new()).await
}

#[derive(Record)]
struct Row {
    first_position: i64,
    last_position: i64,
    folder: String,
    file: String,
    bytes: i64,
    sha256: String,
    types: Json<BTreeMap<String, (i64, i64)>>,
    categories: Json<BTreeSet<String>>,
    streams: i64,
    first_at: Timestamp,
    taken_to: Timestamp,
}

/// All ranges whose rows are gone, in the order of positions.
pub(super) async fn ranges(database: &Database) -> Result<Vec<ArchivedRange>, Error> {
    let sql =
        "SELECT first_position, last_position, folder, file, bytes, sha256, types, categories,
                      streams, first_at, taken_to
               FROM archived_ranges WHERE removed_at IS NOT NULL ORDER BY first_position";
    let rows: Vec<Row> = database.fetch_all(sql, Vec::new()).await?;
    let range = |row: Row| ArchivedRange {
        first: row.first_position,
        last: row.last_position,
        folder: row.folder,
        file: row.file,
        bytes: row.bytes,
        sha256: row.sha256,
        types: row.types.0,
        categories: row.categories.0,
        streams: row.streams,
        first_at: row.first_at,
        taken_to: row.taken_to,
    };
    Ok(rows.into_iter().map(range).collect())
}
