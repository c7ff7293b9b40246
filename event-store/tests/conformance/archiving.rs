//! Closed ranges leave the database for files, and nobody notices.

pub(crate) mod alike;
mod dying;
mod files;
mod holding;
mod repeating;

use std::{path::Path, time::Duration};

use database::{Options, params};
use event_store::{
    Log, LogOptions,
    archive::{Archive, Watch},
    retention::{Keeping, Retention},
};
use testkit::{Backend, CommitFaults, TempDir, eventually};

use crate::fixture::PATIENCE;

/// Events of a file.
const SEGMENT: u32 = 4;

/// A log with an archive.
pub(crate) struct Kept {
    pub(crate) log: Log,
    pub(crate) folder: TempDir,
    pub(crate) backend: Backend,
}

impl Kept {
    pub(crate) async fn with(backend: Backend) -> Self {
        let log = crate::fixture::open_log(&backend).await;
        Self {
            log,
            folder: testkit::temp_dir(),
            backend,
        }
    }

    /// The same log, opened by a process that can die.
    pub(crate) async fn fragile(&self) -> (Log, std::sync::Arc<CommitFaults>) {
        let faults = CommitFaults::new();
        let database = Options {
            commit_hook: Some(faults.clone()),
            max_connections: 3,
            ..Options::default()
        };
        let options = LogOptions {
            database,
            ..LogOptions::default()
        };
        let log = Log::open(&self.backend.url, options).await.unwrap();
        (log, faults)
    }

    /// Writes what is new into files.
    pub(crate) async fn archive(&self) {
        let folder = self.folder.path().to_owned();
        let archive = Archive::new(folder, SEGMENT, 1, Watch::default());
        archive.extend(&self.log).await.unwrap();
    }

    pub(crate) fn retention(&self, keep: Duration) -> Retention {
        retention(&self.log, self.folder.path(), keep)
    }

    /// Removes all that is in files, up to `position`.
    pub(crate) async fn remove_to(&self, position: i64) {
        let retention = self.retention(Duration::ZERO);
        eventually(PATIENCE, || async {
            // The log's clock, as it is known here, may be some milliseconds behind.
            retention.pass().await.unwrap();
            self.log.archived_to().await.unwrap() == position
        })
        .await;
    }

    /// Positions that are still in the database.
    pub(crate) async fn rows(&self) -> Vec<i64> {
        let sql = "SELECT position FROM events ORDER BY position";
        let rows: Vec<(i64,)> = self.log.database().fetch_all(sql, params![]).await.unwrap();
        rows.into_iter().map(|(position,)| position).collect()
    }
}

pub(crate) fn retention(log: &Log, folder: &Path, keep: Duration) -> Retention {
    let archive_dir = folder.to_owned();
    Retention::new(log.clone(), Keeping { archive_dir, keep })
}
