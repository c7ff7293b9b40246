//! SQLite: one connection that writes, some that read, and no server.
//!
//! A statement runs where it is called, in microseconds: handing each to a thread would cost more than
//! it takes. A commit waits for the disk: it runs there too where the disk is quick, and else on the runtime's
//! blocking threads, as does a read outside of a transaction that turns out to be long.

mod pace;
mod readers;
mod statement;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig};

use self::pace::Pace;
pub(crate) use self::{readers::Readers, writer::Unit, writer::Writer};
use crate::{Error, Options, Result, signal::Signals};

/// Statements that a connection keeps prepared; a service has fewer.
const STATEMENTS: usize = 512;

/// What the connection that writes keeps of the file at most.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// An open file.
pub(crate) struct Sqlite {
    pub(crate) path: PathBuf,
    pub(crate) writer: Writer,
    pub(crate) readers: Arc<Readers>,
}

impl Sqlite {
    /// Opens the file, or creates it and its folder.
    pub(crate) fn open(path: &str, options: &Options, signals: Arc<Signals>) -> Result<Self> {
        let path = PathBuf::from(path);
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::Configuration(format!(
                    "cannot create the folder {}: {error}",
                    folder.display()
                ))
            })?;
        }
        let connection = writing(&path, options).map_err(|error| {
            Error::Configuration(format!(
                "cannot open the SQLite file {}: {error}",
                path.display()
            ))
        })?;
        Ok(Self {
            writer: Writer::new(connection, options.acquire_timeout, signals),
            readers: Arc::new(Readers::new(path.clone(), options)),
            path,
        })
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The connection that writes. Beginning to write is the one thing that another process can make it
/// wait for, and that is done elsewhere than where statements run: so it waits for nothing here.
fn writing(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(options.acquire_timeout)?;
    write_ahead(&connection, options.acquire_timeout)?;
    Pace::watch(&connection);
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    prepare(&connection)?;
    Ok(connection)
}

/// Has the file written ahead. Of several processes that find a new file at once one changes it; the
/// others are told at once that it is busy, whatever their patience: SQLite does not wait where two could
/// wait for each other, so they ask again.
fn write_ahead(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(2);
    let until = Instant::now() + patience;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && Instant::now() < until => std::thread::sleep(PAUSE),
            told => return told,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// One of those that read.
fn reading(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(options.acquire_timeout)?;
    prepare(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // A prepared statement's plan stays as it is; else it is made anew for values that it could depend on.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Also what a savepoint may have to bring back, which would else go to a file of its own.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A simulated process dies, and its disk does not.
    let synchronous = match faults::simulated() {
        Some(_) => "OFF",
        None => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}
