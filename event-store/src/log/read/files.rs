//! The archive's files, as far as they were read last.
//!
//! Invariant: a file counts only as the log's database describes it, byte for byte; and no more than
//! [`KEPT`] of them are in memory, none of them long after its last reader.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use contracts::Recorded;
use database::Error;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    archive::{ArchiveError, load},
    log::{ArchivedRange, within},
};

/// Files in memory: one for who reads forward, one for somebody else. Each is a segment's events,
/// some 15 MB by default.
const KEPT: usize = 2;

/// How long a file stays after its last reader.
const IDLE: Duration = Duration::from_secs(30);

/// The files of one log.
pub(super) struct Files {
    /// The archive's folder, where this process was told of it.
    folder: Option<PathBuf>,
    /// Held while a file is read, so that no two readers read the same one at once.
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    files: Vec<File>,
    is_swept: bool,
}

struct File {
    sha256: String,
    events: Arc<Vec<Recorded>>,
    used: Instant,
}

impl Files {
    pub(super) fn new(folder: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            folder,
            recent: Mutex::default(),
        })
    }

    /// All events of the range's file, checked.
    pub(super) async fn events(
        self: &Arc<Self>,
        range: &ArchivedRange,
        timeout: Duration,
    ) -> Result<Arc<Vec<Recorded>>, Error> {
        let mut recent = self.recent.lock().await;
        let known = recent.files.iter_mut().find(|f| f.sha256 == range.sha256);
        if let Some(known) = known {
            known.used = Instant::now();
            return Ok(Arc::clone(&known.events));
        }
        let (range, folder) = (range.clone(), self.folder.clone());
        let sha256 = range.sha256.clone();
        let reading = async {
            let read = move || load(&range.path(folder.as_deref()), &range);
            match tokio::task::spawn_blocking(read).await {
                Ok(read) => read.map_err(failure),
                Err(error) => Err(Error::Unavailable(error.into())),
            }
        };
        let events = Arc::new(within(timeout, reading).await?);
        if recent.files.len() == KEPT {
            let oldest = recent.files.iter().enumerate().min_by_key(|(_, f)| f.used);
            if let Some((oldest, _)) = oldest {
                recent.files.swap_remove(oldest);
            }
        }
        recent.files.push(File {
            sha256,
            events: Arc::clone(&events),
            used: Instant::now(),
        });
        if !recent.is_swept {
            recent.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        Ok(events)
    }
}

/// Forgets what nobody reads any more, and ends with the last file.
async fn sweep(files: Weak<Files>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(files) = files.upgrade() else { return };
        let mut recent = files.recent.lock().await;
        recent.files.retain(|file| file.used.elapsed() < IDLE);
        if recent.files.is_empty() {
            recent.is_swept = false;
            return;
        }
    }
}

/// What lies on a disk that is not there may come back; what is damaged does not.
fn failure(error: ArchiveError) -> Error {
    match error {
        ArchiveError::Unreadable { .. } => Error::Unavailable(error.into()),
        error => Error::Query(error.into()),
    }
}
