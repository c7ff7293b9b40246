//! Reading the archive back: what restores a log, and what proves that it could.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader},
    path::Path,
};

use contracts::Recorded;
use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ArchiveError, MANIFEST, Manifest, Segment, Step, Watch, disk, failed};
use crate::log::ArchivedRange;

/// What the names of snapshots begin with.
const SNAPSHOT: &str = "snapshot-";

/// A restorable set: everything up to one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The log's identity.
    pub epoch: Uuid,
    /// The last position.
    pub head: i64,
    /// Events by type.
    pub counts: BTreeMap<String, u64>,
    /// The files, in the order of their positions.
    pub segments: Vec<Segment>,
}

/// All events of an archive folder of one epoch, in order, checked; what a restore appends.
///
/// # Errors
/// [`ArchiveError`]: nothing is read past a damaged file.
pub fn read(
    folder: &Path,
    mut take: impl FnMut(Recorded) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let Some(manifest) = manifest(folder)? else {
        return Ok(());
    };
    for segment in &manifest.segments {
        let bytes = checked(&folder.join(&segment.file), segment)?;
        events(segment, Some(manifest.epoch), &bytes, &mut take)?;
    }
    Ok(())
}

/// The manifest of a folder, if it has one. A folder that has what only a manifest could name lost
/// it: nothing may be concluded from that, least of all that the archive is empty.
pub(crate) fn manifest(folder: &Path) -> Result<Option<Manifest>, ArchiveError> {
    let path = folder.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_left = |name: &String| name.starts_with("events-") || name.starts_with(SNAPSHOT);
            return match disk::names(folder)?.into_iter().find(is_left) {
                Some(left) => Err(damaged(MANIFEST, &format!("it is missing, but not {left}"))),
                None => Ok(None),
            };
        }
        Err(error) => return Err(failed(&path, error)),
    };
    match serde_json::from_slice(&bytes) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) => Err(damaged(MANIFEST, &error)),
    }
}

/// Reads every segment again and writes down what they are together.
pub(super) fn declare(folder: &Path, keep: usize, watch: &Watch) -> Result<Snapshot, ArchiveError> {
    let manifest = manifest(folder)?.ok_or_else(|| damaged(MANIFEST, &"it is missing"))?;
    if let Some(broken) = manifest.broken_at() {
        return Err(damaged(
            &broken.file,
            &"it does not continue what is before it",
        ));
    }
    let mut counts = BTreeMap::new();
    read(folder, |event| {
        *counts.entry(event.event.event_type).or_default() += 1;
        Ok(())
    })?;
    let snapshot = Snapshot {
        epoch: manifest.epoch,
        head: manifest.last(),
        counts,
        segments: manifest.segments,
    };
    let name = format!("{SNAPSHOT}{:012}.json", snapshot.head);
    let json = serde_json::to_vec_pretty(&snapshot)
        .map_err(|error| failed(&folder.join(&name), error.into()))?;
    let passing = disk::write(folder, &json)?;
    disk::name(&passing, folder, &name)?;
    watch.saw(Step::SnapshotNamed, folder)?;
    let mut names = disk::names(folder)?;
    names.retain(|name| name.starts_with(SNAPSHOT));
    names.sort_unstable();
    let old = names.len().saturating_sub(keep);
    for name in &names[..old] {
        disk::remove(folder, name)?;
    }
    Ok(snapshot)
}

/// Whether the file at `path` is what `segment` says, down to each position.
pub(super) fn check(
    path: &Path,
    segment: &Segment,
    epoch: Option<Uuid>,
) -> Result<(), ArchiveError> {
    let bytes = checked(path, segment)?;
    events(segment, epoch, &bytes, &mut |_| Ok(()))
}

/// The events of the file that has the range, checked against what the log's database says of it.
pub(crate) fn load(path: &Path, range: &ArchivedRange) -> Result<Vec<Recorded>, ArchiveError> {
    let bytes = fs::read(path).map_err(|source| ArchiveError::Unreadable {
        first: range.first,
        last: range.last,
        path: path.to_owned(),
        source,
    })?;
    let file = path.display().to_string();
    let found = disk::digest(&bytes);
    if found != range.sha256 {
        let text = format!("its SHA-256 is {found}, not {}", range.sha256);
        return Err(damaged(&file, &text));
    }
    let mut events: Vec<Recorded> = Vec::new();
    for line in BufReader::new(GzDecoder::new(bytes.as_slice())).lines() {
        let line = line.map_err(|error| damaged(&file, &error))?;
        events.push(serde_json::from_str(&line).map_err(|error| damaged(&file, &error))?);
    }
    let first = events.first().map_or(0, |event| event.position);
    let is_whole = (first..)
        .zip(&events)
        .all(|(at, event)| event.position == at);
    let last = events.last().map_or(0, |event| event.position);
    if !is_whole || first > range.first || last < range.last {
        let text = format!(
            "it does not have the events {} to {}",
            range.first, range.last
        );
        return Err(damaged(&file, &text));
    }
    Ok(events)
}

/// The same for a range whose rows are about to go: the file is where it was noted, and on the disk.
pub(crate) fn check_range(range: &ArchivedRange) -> Result<Vec<Recorded>, ArchiveError> {
    let path = range.path(None);
    let folder = path.parent().unwrap_or(&path);
    for durable in [path.as_path(), folder] {
        let synced = fs::File::open(durable).and_then(|file| file.sync_all());
        synced.map_err(|source| failed(durable, source))?;
    }
    load(&path, range)
}

/// The file's bytes, if they are those that were written.
fn checked(path: &Path, segment: &Segment) -> Result<Vec<u8>, ArchiveError> {
    let bytes = disk::read(path)?;
    let found = disk::digest(&bytes);
    if found == segment.sha256 {
        return Ok(bytes);
    }
    let text = format!("its SHA-256 is {found}, not {}", segment.sha256);
    Err(damaged(&segment.file, &text))
}

fn events(
    segment: &Segment,
    epoch: Option<Uuid>,
    bytes: &[u8],
    take: &mut impl FnMut(Recorded) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut expected = segment.first;
    for line in BufReader::new(GzDecoder::new(bytes)).lines() {
        let line = line.map_err(|error| damaged(&segment.file, &error))?;
        let event: Recorded =
            serde_json::from_str(&line).map_err(|error| damaged(&segment.file, &error))?;
        if event.position != expected || epoch.is_some_and(|epoch| epoch != event.epoch) {
            let text = format!("position {} stands where {expected} should", event.position);
            return Err(damaged(&segment.file, &text));
        }
        expected += 1;
        take(event)?;
    }
    if expected == segment.last + 1 {
        return Ok(());
    }
    let text = format!("it ends at position {}, not {}", expected - 1, segment.last);
    Err(damaged(&segment.file, &text))
}

fn damaged(file: &str, text: &dyn std::fmt::Display) -> ArchiveError {
    ArchiveError::Damaged {
        file: file.to_owned(),
        text: text.to_string(),
    }
}
