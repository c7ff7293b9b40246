//! Files that appear whole, and stay.

use std::{
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{ArchiveError, LOCK, failed};

/// What a file begins with until it has its name.
pub(super) const PASSING: &str = ".passing-";

/// Writes a file under a passing name and waits until it is on the disk.
pub(super) fn write(folder: &Path, bytes: &[u8]) -> Result<PathBuf, ArchiveError> {
    let path = folder.join(format!("{PASSING}{}", Uuid::new_v4().simple()));
    let written = File::create_new(&path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|source| failed(&path, source))?;
    Ok(path)
}

/// Gives a file its name, and waits until the name is on the disk.
pub(super) fn name(passing: &Path, folder: &Path, name: &str) -> Result<(), ArchiveError> {
    let path = folder.join(name);
    fs::rename(passing, &path)
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|source| failed(&path, source))
}

/// The whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ArchiveError> {
    fs::read(path).map_err(|source| failed(path, source))
}

/// Makes the archive's folder with `folder` in it, and waits until both names are on the disk.
pub(super) fn make(root: &Path, folder: &Path) -> Result<(), ArchiveError> {
    fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    // Also when both were there: who made them may have died before the names were on the disk.
    let parent = root
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    for named_in in [root, parent.unwrap_or(Path::new("."))] {
        File::open(named_in)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| failed(named_in, source))?;
    }
    Ok(())
}

/// Takes a folder's lock, unless somebody has it; it is free again when the file is closed, also by
/// death.
pub(super) fn lock(folder: &Path) -> Result<Option<File>, ArchiveError> {
    let path = folder.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| failed(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(&path, source)),
    }
}

/// The names of the files in a folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, ArchiveError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|source| failed(folder, source))?;
    let names = entries
        .iter()
        .filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.collect())
}

/// Removes a file.
pub(super) fn remove(folder: &Path, name: &str) -> Result<(), ArchiveError> {
    let path = folder.join(name);
    fs::remove_file(&path).map_err(|source| failed(&path, source))
}

/// SHA-256 in lower-case hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
