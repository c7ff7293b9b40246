//! What an operator does with a server's files: copies them, puts copies in their place, and keeps a
//! standby.

use std::{
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use anyhow::bail;

use super::{Postgres, administrate};

impl Postgres {
    /// Whether the server runs.
    pub fn is_running(&self) -> bool {
        self.server.is_some()
    }

    /// The folder with the cluster's files; a replacement must belong to the server's account.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder with the server's programs, such as `pg_basebackup`.
    pub fn programs(&self) -> &Path {
        &self.binaries
    }

    /// What the server wrote.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn output(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("output"))?)
    }

    /// Makes the server's account the owner of a folder and of all that is in it, as PostgreSQL
    /// wants it of its data.
    ///
    /// # Errors
    /// When that is not allowed.
    pub fn hand_over(&self, path: &Path) -> anyhow::Result<()> {
        let Some(account) = self.account else {
            return Ok(());
        };
        chown(path, Some(account.user), Some(account.group))?;
        if path.is_dir() && !path.is_symlink() {
            for entry in std::fs::read_dir(path)? {
                self.hand_over(&entry?.path())?;
            }
        }
        Ok(())
    }

    /// A streaming standby of this server, with a server and a port of its own: it has all that was
    /// committed here, and only reads until [`Postgres::promote`]. Commits here wait for it.
    ///
    /// # Errors
    /// When it cannot be copied or started.
    pub async fn standby(&self) -> anyhow::Result<Self> {
        let primary = self.port;
        let durability = self.durability;
        let mut standby = tokio::task::spawn_blocking(move || Self::empty(durability)).await??;
        let mut copy = standby.as_account("pg_basebackup");
        let primary =
            format!("host=127.0.0.1 port={primary} user=postgres application_name=standby");
        copy.args([
            "--dbname",
            &primary,
            "--write-recovery-conf",
            "--checkpoint=fast",
        ]);
        copy.arg("--no-sync").arg("--pgdata").arg(standby.data());
        let copied = tokio::task::spawn_blocking(move || copy.output()).await??;
        if !copied.status.success() {
            bail!("pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        }
        standby.restart().await?;
        for setting in [
            "synchronous_standby_names = 'standby'",
            "synchronous_commit = on",
        ] {
            administrate(&self.url(), format!("ALTER SYSTEM SET {setting}")).await?;
        }
        administrate(&self.url(), "SELECT pg_reload_conf()".to_owned()).await?;
        Ok(standby)
    }

    /// Makes a standby the primary: it takes writes when this returns.
    ///
    /// # Errors
    /// When it does not become one.
    pub async fn promote(&self) -> anyhow::Result<()> {
        administrate(&self.url(), "SELECT pg_promote(true, 60)".to_owned()).await
    }

    /// Takes over the address of a server that has ended, as a virtual address moves.
    ///
    /// # Errors
    /// When that one runs still, or this one does not start there.
    pub async fn take_over(&mut self, lost: &mut Self) -> anyhow::Result<()> {
        if lost.is_running() {
            bail!(
                "the server at port {} runs still: fence it first",
                lost.port
            );
        }
        self.port = lost.port;
        self.restart().await
    }

    /// Tables that are made from now on lie in the folder, which may be on another volume.
    ///
    /// # Errors
    /// When the server cannot use it.
    pub async fn tables_go_to(&self, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.display();
        for statement in [
            format!("CREATE TABLESPACE apart LOCATION '{folder}'"),
            "ALTER SYSTEM SET default_tablespace = 'apart'".to_owned(),
            "SELECT pg_reload_conf()".to_owned(),
        ] {
            administrate(&self.url(), statement).await?;
        }
        Ok(())
    }
}
