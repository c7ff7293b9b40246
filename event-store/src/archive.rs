//! The log's archive: closed ranges of events in compressed files, and the sets that restore from
//! them.
//!
//! Layout of the folder: its id `archive.id`, and one folder for each epoch of the log; in it `manifest.json`, the segments
//! `events-<first>-<last>.jsonl.gz` (one [`Recorded`] as JSON in each line) and
//! `snapshot-<position>.json`.
//!
//! Invariants: a file appears under its name with its whole content on the disk, or not at all; the
//! manifest names only files that were read back and found right; its segments are contiguous from
//! position 1. A crash at any point leaves a file that the next run writes again or removes.

mod disk;
mod identity;
mod segment;
mod set;
mod write;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use contracts::Recorded;
use serde::Serialize;
use thiserror::Error;
use tokio::time::Instant;
use uuid::Uuid;

pub use segment::{Manifest, Segment};
pub use set::{Snapshot, read};
pub(crate) use set::{check_range as check, load, manifest};

use crate::{Log, ReadQuery};

/// The manifest's name.
const MANIFEST: &str = "manifest.json";

/// The name of the file whose lock says that somebody writes here.
const LOCK: &str = "archive.lock";

/// Between two tries to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// How long somebody else may write: as long as the longest run may take. A run whose time is over
/// no longer waits.
const LOCK_WAIT: Duration = Duration::from_secs(60 * 60);

/// Where the archive is, and how it is written. Clones share it.
#[derive(Clone, Debug)]
pub struct Archive {
    root: PathBuf,
    segment_events: i64,
    keep_snapshots: usize,
    watch: Watch,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Segments, those among them that were missing included.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// The size of their files.
    pub bytes: u64,
    /// The last archived position.
    pub archived_to: i64,
}

/// Why the archive cannot be written or trusted.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The disk.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Events lie in a file alone, and this process cannot read it.
    #[error(
        "events {first} to {last} lie in the archive's file {path}, which this process cannot read: \
         {source}; let it see the archive's folder there, or put the file back from a copy"
    )]
    Unreadable {
        /// The first position.
        first: i64,
        /// The last position.
        last: i64,
        /// The file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// A file is not what it was.
    #[error("{file} is damaged: {text}")]
    Damaged {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        text: String,
    },
    /// The log does not have what it should have.
    #[error("the log has no event at position {0}, below its head")]
    Hole(i64),
    /// The folder is another one than that which was archived to until now.
    #[error(
        "{path} has {found}, but the archive is {known}: all replicas need the same `archive_dir`"
    )]
    Foreign {
        /// The file with the id.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What the database knows.
        known: Uuid,
    },
    /// Another process writes the archive.
    #[error("another process is writing the archive in {0}")]
    Busy(PathBuf),
    /// The log's database.
    #[error("the log: {0}")]
    Log(#[from] database::Error),
    /// A task of this process ended early.
    #[error("the work was broken off: {0}")]
    BrokenOff(String),
}

/// A durable step of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A segment lies on the disk under a passing name.
    SegmentWritten,
    /// It has its name.
    SegmentNamed,
    /// The manifest lies on the disk under a passing name.
    ManifestWritten,
    /// It has its name.
    ManifestNamed,
    /// The log knows how far it is backed up.
    LogTold,
    /// A snapshot has its name.
    SnapshotNamed,
}

/// Sees each step; tests let the process die there.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>>);

impl Watch {
    /// Calls `watch` after each step; an error is a death.
    pub fn new(watch: impl Fn(Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    fn saw(&self, step: Step, path: &Path) -> Result<(), ArchiveError> {
        match &self.0 {
            Some(watch) => watch(step).map_err(|source| failed(path, source)),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watch").field(&self.0.is_some()).finish()
    }
}

impl Archive {
    /// The archive in the folder `root`.
    pub fn new(root: PathBuf, segment_events: u32, keep_snapshots: u32, watch: Watch) -> Self {
        Self {
            root,
            segment_events: segment_events.max(1).into(),
            keep_snapshots: keep_snapshots.max(1).try_into().unwrap_or(usize::MAX),
            watch,
        }
    }

    /// Writes what is new in the log, and what is missing in the folder, then tells the log how
    /// far it is backed up.
    ///
    /// # Errors
    /// [`ArchiveError`]; what was written until then stays, and counts for the next run.
    pub async fn extend(&self, log: &Log) -> Result<Written, ArchiveError> {
        let alone = self.lock(log).await?;
        self.extend_alone(&alone, log).await
    }

    /// Writes what is new, reads every segment again, and declares all of it a restorable set.
    ///
    /// # Errors
    /// [`ArchiveError`]; then there is no new snapshot.
    pub async fn snapshot(&self, log: &Log) -> Result<Snapshot, ArchiveError> {
        let alone = self.lock(log).await?;
        self.extend_alone(&alone, log).await?;
        let folder = self.folder(log);
        let (keep, watch) = (self.keep_snapshots, self.watch.clone());
        alone
            .blocking(move || set::declare(&folder, keep, &watch))
            .await
    }

    /// The id of the folder. It is given one while none is `known`.
    ///
    /// # Errors
    /// [`ArchiveError::Foreign`] when another is known.
    pub async fn identify(&self, known: Option<Uuid>) -> Result<Uuid, ArchiveError> {
        let root = self.root.clone();
        blocking(move || identity::identify(&root, known)).await
    }

    async fn extend_alone(&self, alone: &Alone, log: &Log) -> Result<Written, ArchiveError> {
        let head = log.head().await?;
        let folder = self.folder(log);
        let mut manifest = {
            let (folder, epoch, watch) = (folder.clone(), head.epoch, self.watch.clone());
            let only = log.archived_ranges().await?;
            let tidy = move || write::tidy(&folder, epoch, &only, &watch);
            alone.blocking(tidy).await?
        };
        let mut written = Written::default();
        for index in 0..manifest.segments.len() {
            let known = manifest.segments[index].clone();
            if write::is_there(&folder, &known) {
                continue;
            }
            let again = self
                .segment(alone, log, &folder, known.first, known.last)
                .await?;
            add(&mut written, &again);
            manifest.segments[index] = again;
            manifest = self.keep(alone, &folder, manifest).await?;
        }
        while manifest.last() < head.position {
            let first = manifest.last() + 1;
            let last = head.position.min(first + self.segment_events - 1);
            let segment = self.segment(alone, log, &folder, first, last).await?;
            add(&mut written, &segment);
            manifest.segments.push(segment);
            manifest = self.keep(alone, &folder, manifest).await?;
        }
        written.archived_to = manifest.last();
        log.backed_up(head.epoch, manifest.last()).await?;
        self.watch.saw(Step::LogTold, &folder)?;
        Ok(written)
    }

    async fn segment(
        &self,
        alone: &Alone,
        log: &Log,
        folder: &Path,
        first: i64,
        last: i64,
    ) -> Result<Segment, ArchiveError> {
        let events = range(log, first, last).await?;
        let (folder, watch) = (folder.to_owned(), self.watch.clone());
        alone
            .blocking(move || write::segment(&folder, first, last, &events, &watch))
            .await
    }

    async fn keep(
        &self,
        alone: &Alone,
        folder: &Path,
        manifest: Manifest,
    ) -> Result<Manifest, ArchiveError> {
        let (folder, watch) = (folder.to_owned(), self.watch.clone());
        let write = move || {
            write::manifest(&folder, &manifest, &watch)?;
            Ok(manifest)
        };
        alone.blocking(write).await
    }

    /// Keeps everybody else out, other processes too; waits for who is in. Two that write at once
    /// could put an older manifest in the place of a newer one, whose segments would then be taken
    /// for strangers and removed.
    async fn lock(&self, log: &Log) -> Result<Alone, ArchiveError> {
        let (root, folder) = (self.root.clone(), self.folder(log));
        blocking({
            let folder = folder.clone();
            move || disk::make(&root, &folder)
        })
        .await?;
        let until = Instant::now() + LOCK_WAIT;
        loop {
            let taken = folder.clone();
            if let Some(file) = blocking(move || disk::lock(&taken)).await? {
                return Ok(Alone(Arc::new(file)));
            }
            if Instant::now() > until {
                return Err(ArchiveError::Busy(folder));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    fn folder(&self, log: &Log) -> PathBuf {
        self.root.join(log.epoch().to_string())
    }
}

/// The lock. Work on a thread goes on when nobody waits for it any more, so it has the lock itself:
/// nobody else is let in before it has ended.
struct Alone(Arc<File>);

impl Alone {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let file = Arc::clone(&self.0);
        blocking(move || {
            let done = work();
            drop(file);
            done
        })
        .await
    }
}

fn add(written: &mut Written, segment: &Segment) {
    written.segments += 1;
    written.events += u64::try_from(segment.last - segment.first + 1).unwrap_or_default();
    written.bytes += segment.bytes;
}

/// The events of a range, all of them.
async fn range(log: &Log, first: i64, last: i64) -> Result<Vec<Recorded>, ArchiveError> {
    let mut events: Vec<Recorded> = Vec::new();
    let mut at = first - 1;
    while at < last {
        let left = u32::try_from(last - at).unwrap_or(u32::MAX);
        let query = ReadQuery::after(at).limit(left);
        let page = log.read(&query).await?;
        let Some(newest) = page.last().map(|event| event.position) else {
            return Err(ArchiveError::Hole(at + 1));
        };
        at = newest;
        events.extend(page);
    }
    match segment::gap(first, last, &events) {
        None => Ok(events),
        Some(position) => Err(ArchiveError::Hole(position)),
    }
}

/// Does work with files on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ArchiveError::BrokenOff(error.to_string())),
    }
}

fn failed(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::File {
        path: path.to_owned(),
        source,
    }
}
