//! The key file.
//!
//! Invariant: the file is complete or absent. A first one is written under another name and then
//! linked to its own, which fails when somebody else was first, so that two processes that start
//! together end up with one key; a later one is renamed over its predecessor. A crash at any point
//! leaves the file as it was before or as it is after, and at most a draft beside it.

use std::{
    fs::{self, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{KeyError, KeySet, SigningKey};

/// Only the owner reads or writes the keys.
pub(super) const FILE_MODE: u32 = 0o600;

/// Bytes that are read of a key file: it holds some short keys, and what is larger is none.
const MAX_LENGTH: u64 = 64 * 1024;

/// What tells one state of the file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self {
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// The set in the file, which is made when there is none.
pub(super) fn load_or_create(path: &Path) -> Result<(KeySet, Stamp), KeyError> {
    match load(path) {
        Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        loaded => {
            warn_of_readers(path);
            return loaded;
        }
    }
    let text = KeySet::of(SigningKey::random()?).render()?;
    match publish(path, &text) {
        Ok(()) => tracing::info!(path = %path.display(), "made a new signing key"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(path, error)),
    }
    load(path)
}

/// The set in the file.
pub(super) fn load(path: &Path) -> Result<(KeySet, Stamp), KeyError> {
    // The stamp comes first: a change between the two is seen as a change again.
    let stamp = Stamp::of(path).map_err(|error| failed(path, error))?;
    let text = read(path).map_err(|error| failed(path, error))?;
    let set = KeySet::parse(&text).map_err(|reason| KeyError::Content {
        path: path.to_owned(),
        reason,
    })?;
    Ok((set, stamp))
}

/// Changes the set in the file, alone among all processes that share it.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&KeySet) -> Result<KeySet, KeyError>,
) -> Result<(), KeyError> {
    // Where a secret is mounted the name is a link; what it names is replaced, not the link.
    let path = &fs::canonicalize(path).map_err(|error| failed(path, error))?;
    let lock = beside(path, ".lock");
    let lock = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(FILE_MODE)
        .open(&lock)
        .map_err(|error| failed(&lock, error))?;
    // The system lets go of it when we die.
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(KeyError::RotationRunning),
        Err(TryLockError::Error(error)) => return Err(failed(path, error)),
    }
    let (set, _) = load(path)?;
    let text = change(&set)?.render()?;
    replace(path, &text).map_err(|error| failed(path, error))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = fs::File::open(path)?.take(MAX_LENGTH + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LENGTH {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// Makes the file appear with its whole content, or not at all.
fn publish(path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder(path))?;
    let draft = draft(path, text)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked?;
    make_durable(path)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = draft(path, text)?;
    // Whoever may read the keys, such as a group that legacy runs in, may read the new ones.
    let renamed = fs::metadata(path)
        .and_then(|file| fs::set_permissions(&draft, file.permissions()))
        .and_then(|()| fs::rename(&draft, path));
    if renamed.is_err() {
        fs::remove_file(&draft)?;
    }
    renamed?;
    make_durable(path)
}

fn draft(path: &Path, text: &str) -> io::Result<PathBuf> {
    let name = format!(".signing-key-{}", Uuid::new_v4().simple());
    let draft = folder(path).join(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&draft)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        fs::remove_file(&draft)?;
    }
    written.map(|()| draft)
}

/// The name itself must survive a power cut, or tokens outlive the key that signed them.
fn make_durable(path: &Path) -> io::Result<()> {
    fs::File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Keys that others can read still work, for platforms that mount secrets group-readable, but
/// nobody should find that out by accident.
fn warn_of_readers(path: &Path) {
    if let Ok(file) = fs::metadata(path)
        && file.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "others than the owner may read the signing keys");
    }
}

fn failed(path: &Path, source: io::Error) -> KeyError {
    KeyError::File {
        path: path.to_owned(),
        source,
    }
}
