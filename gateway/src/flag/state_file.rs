//! Flag states in a file, for a gateway without a log, and a snapshot for one that loses it.
//!
//! Invariant: the file is always a whole one. It is written beside its place, synced, and then
//! renamed over it; a crash before the rename leaves the old state, one after it the new.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::ledger::Ledgers;

/// Raised when the shape changes in a way that older gateways would misread.
const FORMAT: u32 = 1;

/// The file in which flag states are kept.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// One writer at a time: they share the name of the file beside.
    turn: tokio::sync::Mutex<()>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// It cannot be read or written.
    #[error("{}: {source} (setting `state_file`)", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what a gateway writes.
    #[error("{}: {message} (setting `state_file`)", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    flags: Arc<Ledgers>,
}

impl StateFile {
    /// A file that need not exist yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Reads the file; absent when there is none.
    pub(super) async fn load(&self) -> Result<Option<Ledgers>, StateFileError> {
        let path = self.path.clone();
        self.blocking(move || {
            let text = match std::fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other.map_err(|source| io_error(&path, source))?,
            };
            let wrong = |message| StateFileError::Content {
                path: path.clone(),
                message,
            };
            let content: Content =
                serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
            if content.format != FORMAT {
                return Err(wrong(format!(
                    "has format {}, not {FORMAT}",
                    content.format
                )));
            }
            Ok(Some(Arc::unwrap_or_clone(content.flags)))
        })
        .await
    }

    /// Replaces the file. `newest` is asked once the turn has come, so that the last writer writes
    /// the newest state whatever the order in which they came.
    pub(super) async fn save(
        &self,
        newest: impl FnOnce() -> Arc<Ledgers>,
    ) -> Result<(), StateFileError> {
        let turn = self.turn.lock().await;
        let content = Content {
            format: FORMAT,
            flags: newest(),
        };
        let path = self.path.clone();
        let result = self
            .blocking(move || {
                let text = serde_json::to_vec_pretty(&content).map_err(|error| {
                    StateFileError::Content {
                        path: path.clone(),
                        message: error.to_string(),
                    }
                })?;
                let replaced =
                    write_beside(&path, &text).and_then(|beside| publish(&beside, &path));
                replaced.map_err(|source| io_error(&path, source))
            })
            .await;
        drop(turn);
        result
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StateFileError> + Send + 'static,
    ) -> Result<T, StateFileError> {
        let ended = tokio::task::spawn_blocking(work).await;
        ended.unwrap_or_else(|error| Err(io_error(&self.path, io::Error::other(error))))
    }
}

/// Until [`publish`], the old file is what a restart reads.
fn write_beside(path: &Path, text: &[u8]) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // The lists name users; nobody else on the machine needs to read them.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(beside)
}

/// The rename itself is durable once the folder is synced.
fn publish(beside: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(beside, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn io_error(path: &Path, source: io::Error) -> StateFileError {
    StateFileError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::flag::{FlagState, Settings, ledger::Ledger, ledger::Note};

    fn ledgers(actor: &str) -> Arc<Ledgers> {
        let state = FlagState::declared("f".parse().unwrap(), Settings::new("f"));
        let note = Note::new(actor, "declared", OffsetDateTime::UNIX_EPOCH);
        let ledger = Ledger::default().with(note.change(None, state));
        Arc::new(Ledgers::from([("f".parse().unwrap(), Arc::new(ledger))]))
    }

    #[tokio::test]
    async fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("flags.json"));
        assert_eq!(file.load().await.unwrap(), None);
        file.save(|| ledgers("ann")).await.unwrap();
        assert_eq!(file.load().await.unwrap().as_ref(), Some(&*ledgers("ann")));
    }

    #[tokio::test]
    async fn a_crash_between_the_write_and_the_rename_leaves_the_old_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flags.json");
        let file = StateFile::new(path.clone());
        file.save(|| ledgers("ann")).await.unwrap();
        for torn in [&b"{\"format\": 1, \"fla"[..], b""] {
            write_beside(&path, torn).unwrap();
            assert_eq!(file.load().await.unwrap().as_ref(), Some(&*ledgers("ann")));
        }
        file.save(|| ledgers("bob")).await.unwrap();
        assert_eq!(file.load().await.unwrap().as_ref(), Some(&*ledgers("bob")));
    }

    #[tokio::test]
    async fn a_file_of_somebody_else_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flags.json");
        for wrong in ["{}", "[1]", "{\"format\": 2, \"flags\": {}}"] {
            std::fs::write(&path, wrong).unwrap();
            let error = StateFile::new(path.clone())
                .load()
                .await
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("flags.json") && error.contains("state_file"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn an_unwritable_folder_is_an_error_that_names_the_setting() {
        let file = StateFile::new("/proc/banyan/flags.json".into());
        let error = file.save(|| ledgers("ann")).await.unwrap_err().to_string();
        assert!(error.contains("state_file"), "{error}");
    }
}
