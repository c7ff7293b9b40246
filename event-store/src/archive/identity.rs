//! Which folder the archive is: an id in it, that the service's database knows too. Replicas that
//! are configured with different folders would each archive a part, and tell the log that all of it
//! is kept.

use std::{fs, io, path::Path};

use uuid::Uuid;

use super::{ArchiveError, disk, failed};

/// The file with the id.
const IDENTITY: &str = "archive.id";

/// The id of the archive in `root`; a new one is given only while no id is `known`.
pub(super) fn identify(root: &Path, known: Option<Uuid>) -> Result<Uuid, ArchiveError> {
    disk::make(root, root)?;
    let found = match (read(root)?, known) {
        (None, None) => {
            give(root)?;
            read(root)?
        }
        (found, _) => found,
    };
    match (found, known) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(known)) if found == known => Ok(found),
        (found, known) => Err(ArchiveError::Foreign {
            path: root.join(IDENTITY),
            found: found.map_or_else(|| "nothing".to_owned(), |id| id.to_string()),
            known: known.unwrap_or_default(),
        }),
    }
}

fn read(root: &Path) -> Result<Option<Uuid>, ArchiveError> {
    let path = root.join(IDENTITY);
    match fs::read_to_string(&path) {
        Ok(text) => match Uuid::try_parse(text.trim()) {
            Ok(id) => Ok(Some(id)),
            Err(error) => Err(failed(&path, io::Error::other(error))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path, error)),
    }
}

/// Gives the folder an id, unless another process does so at this moment.
fn give(root: &Path) -> Result<(), ArchiveError> {
    let passing = disk::write(root, format!("{}\n", Uuid::new_v4()).as_bytes())?;
    let path = root.join(IDENTITY);
    let linked = match fs::hard_link(&passing, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(&path, error)),
        _ => Ok(()),
    };
    fs::remove_file(&passing).map_err(|error| failed(&passing, error))?;
    linked?;
    disk::make(root, root)
}
