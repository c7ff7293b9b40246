//! A full disk, as an ordinary user can make one.
//!
//! What is used up is not a file system, which only root can make small, but `RLIMIT_FSIZE` of the
//! server's processes: no file may grow beyond a size. PostgreSQL ignores the signal that comes with
//! it, so that it is told of a write that fell short, and reports what it reports when a disk is full
//! (`disk_full`, 53100) or, where the write-ahead log cannot be written, panics. Overwriting what lies
//! within the size goes on, as it does on a full disk.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use super::Postgres;

/// PostgreSQL's page.
const PAGE: u64 = 8_192;

/// A page half of which fits: the write falls short instead of failing as a whole, which PostgreSQL
/// takes for a full disk.
const HALF: u64 = PAGE / 2;

impl Postgres {
    /// From now on, and until the server is started again or [`Postgres::make_room`], no file of this
    /// database grows that is as large as its largest one, and of other databases none beyond that. The
    /// write-ahead log goes on if its segments are no larger than that; see [`Postgres::largest_file`].
    ///
    /// # Errors
    /// When the files cannot be looked at, or the server does not run.
    pub fn fill_disk(&self, database: u32) -> anyhow::Result<()> {
        let size = self.largest_file(database)?;
        self.limit(Some(size / PAGE * PAGE + HALF))
    }

    /// From now on nothing can be written at all.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn fill_disk_wholly(&self) -> anyhow::Result<()> {
        self.limit(Some(0))
    }

    /// Files may grow again.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn make_room(&self) -> anyhow::Result<()> {
        self.limit(None)
    }

    /// Bytes of the largest file of a database, by its object id.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn largest_file(&self, database: u32) -> anyhow::Result<u64> {
        let folder = self.data().join("base").join(database.to_string());
        let files = std::fs::read_dir(&folder);
        let files = files.with_context(|| format!("cannot read {}", folder.display()))?;
        let sizes = files.flatten().filter_map(|file| file.metadata().ok());
        let largest = sizes.map(|file| file.len()).max();
        largest.with_context(|| format!("{} is empty", folder.display()))
    }

    /// New processes of the server take over the first one's limit.
    fn limit(&self, bytes: Option<u64>) -> anyhow::Result<()> {
        let server = self.id();
        if server == 0 {
            bail!("PostgreSQL does not run");
        }
        self.set(server, bytes)?;
        for child in children(server) {
            // Whoever has ended meanwhile writes nothing.
            self.set(child, bytes).ok();
        }
        Ok(())
    }

    /// Sets the limit that is in force; the one up to which it may be raised again stays. By whom the
    /// server runs as: nobody else may, not even every root.
    fn set(&self, process: u32, bytes: Option<u64>) -> anyhow::Result<()> {
        let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let mut command = Command::new("prlimit");
        command.arg("--pid").arg(process.to_string());
        // Behind the colon the other limit would stand.
        command.arg(format!("--fsize={bytes}:"));
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        let output = command.stdin(Stdio::null()).output();
        let output = output.context("cannot run prlimit (package util-linux)")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("cannot limit PostgreSQL's files: {why}");
        }
        Ok(())
    }
}

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(process)).collect()
}

/// The second field behind the name, which is in brackets and may hold any.
fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};

    use super::*;

    const ENOUGH: i64 = 4_000;

    async fn insert(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO filling SELECT n, repeat('x', 500) FROM generate_series(1, $1) n")
            .bind(ENOUGH)
            .execute(connection)
            .await
            .map(|_| ())
    }

    fn code(error: &sqlx::Error) -> Option<String> {
        let error = error.as_database_error()?;
        error.code().map(|code| code.into_owned())
    }

    #[tokio::test]
    async fn a_full_disk_is_told_as_one_and_writes_go_on_once_there_is_room() {
        let mut server = Postgres::start().await.expect("a server");
        let url = server.named("filling").await.expect("a database");
        let mut connection = PgConnection::connect(&url).await.expect("a connection");
        let table = "CREATE TABLE filling (n BIGINT, text TEXT)";
        sqlx::query(table)
            .execute(&mut connection)
            .await
            .expect("a table");
        insert(&mut connection).await.expect("room");
        let sql = "SELECT oid::BIGINT FROM pg_database WHERE datname = 'filling'";
        let (oid,): (i64,) = sqlx::query_as(sql)
            .fetch_one(&mut connection)
            .await
            .expect("its number");
        let database = u32::try_from(oid).expect("a number");
        let size = server.largest_file(database).expect("a file");
        assert!(size > 1 << 20, "larger than a segment of the log: {size}");

        server.fill_disk(database).expect("a running server");
        // Both who is there and who comes now.
        let mut second = PgConnection::connect(&url).await.expect("it still answers");
        for connection in [&mut connection, &mut second] {
            let error = insert(connection).await.expect_err("there is no room");
            assert_eq!(code(&error).as_deref(), Some("53100"), "{error}");
        }
        assert!(server.is_running());
        server.make_room().expect("a running server");
        insert(&mut connection).await.expect("room again");

        // Without its write-ahead log it gives up, and nothing that it confirmed is lost.
        server.fill_disk_wholly().expect("a running server");
        insert(&mut connection)
            .await
            .expect_err("nothing can be written");
        server.restart().await.expect("room again");
        let mut connection = PgConnection::connect(&url).await.expect("it is back");
        let (rows,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM filling")
            .fetch_one(&mut connection)
            .await
            .expect("the table");
        assert_eq!(rows, 2 * ENOUGH);
    }
}
