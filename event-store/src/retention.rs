//! Takes closed ranges of the log out of its database once they lie in the archive's files.
//!
//! A range is closed when all of it is older than what is kept, in a file, forwarded to each bus, and
//! behind every consumer's checkpoint. It goes step by step, and each step can be repeated: the file is
//! read back and held against the rows, event by event; it is noted, and the events' ids and places in
//! their streams are kept; the rows go. From then on whoever reads those positions reads the file.
//!
//! Invariant: a row goes only when its event was read back from a file that is on the disk.

pub(crate) mod holds;
mod shown;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chassis::{Shutdown, shutdown::Slept};
use contracts::Recorded;
use database::Error;
use thiserror::Error as ThisError;
use uuid::Uuid;

pub use holds::Hold;
pub use shown::Shown;

use crate::{
    Head, Log,
    archive::{ArchiveError, Manifest, Segment, check, manifest},
    lease::{Fence, Lease},
    log::{ArchivedRange, note, relocate, remove},
};

/// Between two looks: what is closed was for long.
const EVERY: Duration = Duration::from_secs(60);

/// What the lease is called.
const LEASE: &str = "retention";

/// What is removed, and from where on it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// The archive's folder, which the maintenance service writes.
    pub archive_dir: PathBuf,
    /// How long events stay in the database at least.
    pub keep: Duration,
}

/// What a pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Ranges, one for each file.
    pub ranges: u64,
    /// Events.
    pub events: u64,
}

/// Why nothing is removed.
#[derive(Debug, ThisError)]
pub enum RetentionError {
    /// The log's database.
    #[error("the log: {0}")]
    Log(#[from] Error),
    /// A file is not what it should be.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file has another event than the log.
    #[error("{file} has another event at position {position} than the log")]
    Differs {
        /// The file.
        file: String,
        /// The first such position.
        position: i64,
    },
    /// The configured folder lacks a file that events lie in.
    #[error(
        "events lie in {file}, which the configured archive_dir {folder} does not have: point it to the \
         folder of the maintenance service"
    )]
    Elsewhere {
        /// The file.
        file: String,
        /// The folder.
        folder: PathBuf,
    },
    /// A thread of this process ended early.
    #[error("the work was broken off: {0}")]
    BrokenOff(String),
}

/// Removes what is closed; one active, by lease.
pub struct Retention {
    log: Log,
    folder: PathBuf,
    keep: Duration,
    holder: Uuid,
    shown: Shown,
}

impl Retention {
    /// One that does not run yet.
    pub fn new(log: Log, keeping: Keeping) -> Self {
        Self::counted(log, keeping, Shown::default())
    }

    /// The same, which counts there.
    pub fn counted(log: Log, keeping: Keeping, shown: Shown) -> Self {
        let folder = std::path::absolute(&keeping.archive_dir).unwrap_or(keeping.archive_dir);
        Self {
            log,
            folder,
            keep: keeping.keep,
            holder: Uuid::new_v4(),
            shown,
        }
    }

    /// Removes until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let mut first = true;
        loop {
            match self.take(first, &shutdown).await {
                Ok(Removed { events: 0, .. }) => {}
                Ok(removed) => tracing::info!(
                    ranges = removed.ranges,
                    events = removed.events,
                    "old events lie in the archive alone"
                ),
                Err(error) => {
                    self.shown.failed();
                    tracing::error!(%error, "old events stay in the log's database");
                }
            }
            first = false;
            if shutdown.sleep(EVERY).await == Slept::ShutDown {
                return;
            }
        }
    }

    /// Removes what is closed now. Nothing while another process does.
    ///
    /// # Errors
    /// [`RetentionError`]; what was removed until then is.
    pub async fn pass(&self) -> Result<Removed, RetentionError> {
        self.take(false, &Shutdown::new()).await
    }

    async fn take(&self, first: bool, shutdown: &Shutdown) -> Result<Removed, RetentionError> {
        let database = self.log.database();
        let Some(lease) = Lease::acquire(database, LEASE, self.holder, first).await? else {
            return Ok(Removed::default());
        };
        let removed = self.remove_closed(&lease, shutdown).await;
        // Also after a failure: another process may see what this one does not.
        lease.release(database).await?;
        removed
    }

    async fn remove_closed(
        &self,
        lease: &Lease,
        shutdown: &Shutdown,
    ) -> Result<Removed, RetentionError> {
        let mut removed = Removed::default();
        let head = self.log.head().await?;
        self.settle(lease).await?;
        let folder = self.folder.join(head.epoch.to_string());
        let Some(manifest) = in_file(move || Ok(read_manifest(&folder)?)).await? else {
            return Ok(removed);
        };
        let holds = holds::all(&self.log, head.epoch, self.keep).await?;
        let limit = holds.iter().map(|hold| hold.position).min().unwrap_or(0);
        let mut archived_to = self.log.archived_to().await?;
        self.shown.archived_to(archived_to);
        while let Some(segment) = closed(&manifest.segments, archived_to, limit)
            && !shutdown.is_cancelled()
        {
            let Some(range) = self.verified(head, segment, archived_to + 1).await? else {
                break;
            };
            for step in [Step::Note, Step::Remove] {
                if self.step(step, lease, &range).await? == Fence::Lost {
                    return Ok(removed);
                }
            }
            archived_to = range.last;
            let events = u64::try_from(range.last - range.first + 1).unwrap_or_default();
            removed.ranges += 1;
            removed.events += events;
            self.shown.removed(archived_to, events);
        }
        Ok(removed)
    }

    async fn step(
        &self,
        step: Step,
        lease: &Lease,
        range: &ArchivedRange,
    ) -> Result<Fence, RetentionError> {
        let database = self.log.database();
        Ok(match step {
            Step::Note => note(database, lease, range).await?,
            Step::Remove => remove(database, lease, range).await?,
        })
    }

    /// Notes where the archive is, if it is no longer where it was. A folder without the files that
    /// events lie in is another one.
    async fn settle(&self, lease: &Lease) -> Result<(), RetentionError> {
        let folder = self.folder.display().to_string();
        let mut ranges = self.log.archived_ranges().await?;
        ranges.retain(|range| range.folder != folder);
        if ranges.is_empty() {
            return Ok(());
        }
        let here = self.folder.clone();
        in_file(move || {
            let is_missing = |range: &&ArchivedRange| !here.join(&range.file).is_file();
            match ranges.iter().find(is_missing) {
                None => Ok(()),
                Some(range) => Err(RetentionError::Elsewhere {
                    file: range.file.clone(),
                    folder: here.clone(),
                }),
            }
        })
        .await?;
        let _still_ours = relocate(self.log.database(), lease, &folder).await?;
        Ok(())
    }

    /// The range from `first` on that the segment's file has, read back and held against the log's rows.
    async fn verified(
        &self,
        head: Head,
        segment: &Segment,
        first: i64,
    ) -> Result<Option<ArchivedRange>, RetentionError> {
        let rows = Arc::new(self.log.rows(first, segment.last).await?);
        let range = ArchivedRange::of(&self.folder, head.epoch, segment, &rows);
        let Some(range) = range.filter(|range| range.last == segment.last) else {
            return Ok(None);
        };
        in_file(move || {
            let events = check(&range)?;
            match differing(&rows, &events) {
                None => Ok(Some(range)),
                Some(position) => Err(RetentionError::Differs {
                    file: range.file,
                    position,
                }),
            }
        })
        .await
    }
}

#[derive(Clone, Copy)]
enum Step {
    Note,
    Remove,
}

/// The next segment that is closed: it goes on where the archive's last range ended, and nobody holds it.
/// One of another identity of the log may begin earlier.
fn closed(segments: &[Segment], archived_to: i64, limit: i64) -> Option<&Segment> {
    let next = segments.iter().find(|segment| segment.last > archived_to)?;
    (next.first <= archived_to + 1 && next.last <= limit).then_some(next)
}

/// The first position at which a file does not have what the log has.
fn differing(rows: &[Recorded], events: &[Recorded]) -> Option<i64> {
    let first = rows.first()?.position;
    let mut of_file = events.iter().skip_while(|event| event.position < first);
    let differs = |row: &&Recorded| {
        of_file.next().is_none_or(|event| {
            (event.position, event.recorded_at, &event.event)
                != (row.position, row.recorded_at, &row.event)
        })
    };
    rows.iter().find(differs).map(|row| row.position)
}

fn read_manifest(folder: &Path) -> Result<Option<Manifest>, ArchiveError> {
    if folder.is_dir() {
        manifest(folder)
    } else {
        Ok(None)
    }
}

/// Does work with files on a thread that may block.
async fn in_file<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RetentionError> + Send + 'static,
) -> Result<T, RetentionError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(RetentionError::BrokenOff(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: i64, last: i64) -> Segment {
        Segment {
            file: Segment::name(first, last),
            first,
            last,
            bytes: 0,
            sha256: String::new(),
        }
    }

    #[test]
    fn a_segment_is_closed_when_it_is_next_and_nobody_holds_any_of_it() {
        let segments = [segment(1, 4), segment(5, 8), segment(9, 10)];
        let last =
            |archived_to, limit| closed(&segments, archived_to, limit).map(|segment| segment.last);
        assert_eq!(last(0, 3), None, "a part of it is held");
        assert_eq!(last(0, 4), Some(4));
        assert_eq!(last(0, 100), Some(4), "one after the other");
        assert_eq!(last(4, 8), Some(8));
        assert_eq!(last(6, 8), Some(8), "another identity's boundaries");
        assert_eq!(last(8, 9), None);
        assert_eq!(last(10, 100), None, "nothing is left");
        assert_eq!(closed(&segments[1..], 2, 100), None, "a file is missing");
    }
}
