//! The data folder of a `banyan up`: who holds it, and what lies where.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// The data folder, held by this process until the value is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the folder where it is missing, and takes it.
    pub(super) fn take(path: &Path) -> anyhow::Result<Self> {
        let unusable = || format!("cannot use the data folder {} (--data-dir)", path.display());
        std::fs::create_dir_all(path).with_context(unusable)?;
        let path = path.canonicalize().with_context(unusable)?;
        let lock = File::create(path.join("lock")).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => bail!(
                "another `banyan up` uses the data folder {}; stop it, or name another folder with \
                 --data-dir",
                path.display()
            ),
            Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(unusable),
        }
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The URL of an SQLite database in it.
    pub(super) fn database(&self, name: &str) -> String {
        format!("sqlite:{}", self.file(&format!("{name}.db")).display())
    }

    /// A random secret of 64 hexadecimal digits, the same at every start.
    pub(super) fn secret(&self, name: &str) -> anyhow::Result<String> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        let file = self.file(name);
        match std::fs::read_to_string(&file) {
            Ok(text) if text.trim().len() == 64 => return Ok(text.trim().to_owned()),
            Ok(_) => bail!("{} is damaged: remove it to make a new one", file.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        }
        let bytes: [u8; 32] = rand::random();
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Written beside and renamed, so that a crash leaves no half secret.
        let fresh = self.file(&format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut out = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            out.write_all(secret.as_bytes())?;
            out.sync_all()?;
            std::fs::rename(&fresh, &file)
        };
        write().with_context(|| format!("cannot write {} (--data-dir)", file.display()))?;
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = Folder::take(folder.path()).unwrap();
        let error = Folder::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains("--data-dir"), "{error}");
        drop(held);
        Folder::take(folder.path()).unwrap();
    }

    #[test]
    fn a_secret_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::take(folder.path()).unwrap();
        let secret = folder.secret("cookie.key").unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(folder.secret("cookie.key").unwrap(), secret);
        std::fs::write(folder.file("cookie.key"), "short").unwrap();
        assert!(folder.secret("cookie.key").is_err());
    }

    #[test]
    fn an_unusable_folder_names_the_setting() {
        let error = Folder::take(Path::new("/proc/no/such")).unwrap_err();
        assert!(format!("{error:#}").contains("--data-dir"), "{error:#}");
    }
}
