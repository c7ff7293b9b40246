use std::io;

use rusqlite::ffi;
use thiserror::Error;

/// What a driver, or a reader of what it gave, said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong in the database, by what the caller can do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// The database cannot be reached, or had no free connection in time. The statement may or may
    /// not have run; a repeat is safe for idempotent work.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// The disk under the database is full: nothing was done, a repeat succeeds once there is room.
    #[error("the disk of the database is full: {0}")]
    Full(#[source] Cause),
    /// A deadlock, a serialisation failure or a busy file: nothing was done, a repeat may succeed.
    #[error("the database is contended: {0}")]
    Contention(#[source] Cause),
    /// A constraint refused the row.
    #[error("{kind:?} constraint {name} refused the row")]
    Constraint {
        /// Which kind of constraint it was.
        kind: Constraint,
        /// PostgreSQL: the constraint's name. SQLite: its `table.column` list or the index's name.
        name: String,
    },
    /// `fetch_one` found no row.
    #[error("no row found")]
    NotFound,
    /// The URL or an option is unusable; the text says which and why.
    #[error("{0}")]
    Configuration(String),
    /// A migration failed, or the database holds a newer schema than this program knows.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Anything else: a fault of the statement or of the data, a repeat will not help.
    #[error("query: {0}")]
    Query(#[source] Cause),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of constraint a database can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// A primary key or unique index.
    Unique,
    /// A foreign key.
    ForeignKey,
    /// A CHECK.
    Check,
    /// A NOT NULL.
    NotNull,
}

impl Error {
    /// Whether the same work may succeed when tried again later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Full(_) | Self::Contention(_)
        )
    }

    /// Whether a unique constraint refused the row.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Constraint {
                kind: Constraint::Unique,
                ..
            }
        )
    }

    /// Whether the refusing constraint's name (or SQLite's column list) contains `part`.
    pub fn violates(&self, part: &str) -> bool {
        matches!(self, Self::Constraint { name, .. } if name.contains(part))
    }
}

impl Error {
    /// A fault of the statement or of the data.
    pub fn query(cause: impl Into<Cause>) -> Self {
        Self::Query(cause.into())
    }
}

/// No connection was free in time.
pub(crate) fn no_connection() -> Error {
    let late = io::Error::new(io::ErrorKind::TimedOut, "no connection was free in time");
    Error::Unavailable(late.into())
}

/// The database was closed in this process.
pub(crate) fn closed() -> Error {
    Error::Unavailable("the database is closed".into())
}

/// The transaction is no longer there.
pub(crate) fn lost() -> Error {
    Error::Unavailable("the transaction was taken back".into())
}

/// A failed commit, as each of those is told who had a part in it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    full: bool,
    text: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            full: matches!(error, Error::Full(_)),
            text: error.to_string(),
        }
    }
}

impl Failure {
    pub(crate) fn error(self) -> Error {
        if self.full {
            Error::Full(self.text.into())
        } else {
            Error::Unavailable(self.text.into())
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            return Self::Query(error.into());
        };
        let kind = match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => Some(Constraint::Unique),
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Constraint::ForeignKey),
            ffi::SQLITE_CONSTRAINT_CHECK => Some(Constraint::Check),
            ffi::SQLITE_CONSTRAINT_NOTNULL => Some(Constraint::NotNull),
            _ => None,
        };
        if let Some(kind) = kind {
            let message = message.as_deref().unwrap_or_default();
            let name = message.rsplit(": ").next().unwrap_or_default();
            let name = name.to_owned();
            return Self::Constraint { kind, name };
        }
        match failure.extended_code & 0xff {
            ffi::SQLITE_FULL => Self::Full(error.into()),
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => Self::Contention(error.into()),
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => Self::Unavailable(error.into()),
            _ => Self::Query(error.into()),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Configuration(source) => Self::Configuration(source.to_string()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.into()),
            sqlx::Error::Database(cause) => {
                let kind = match cause.kind() {
                    ErrorKind::UniqueViolation => Some(Constraint::Unique),
                    ErrorKind::ForeignKeyViolation => Some(Constraint::ForeignKey),
                    ErrorKind::CheckViolation => Some(Constraint::Check),
                    ErrorKind::NotNullViolation => Some(Constraint::NotNull),
                    _ => None,
                };
                if let Some(kind) = kind {
                    let name = cause.constraint().unwrap_or_default().to_owned();
                    return Self::Constraint { kind, name };
                }
                match cause.code().as_deref() {
                    // Disk full.
                    Some("53100") => Self::Full(error.into()),
                    // Serialisation failure, deadlock, lock timeout.
                    Some("40001" | "40P01" | "55P03") => Self::Contention(error.into()),
                    // Shutting down, cannot connect now, too many connections,
                    // an idle transaction that was ended, other resources that are used up, an I/O
                    // error, class 08; and a server that only reads, which is a standby that was
                    // not promoted yet.
                    Some(
                        "57P01" | "57P02" | "57P03" | "53000" | "53200" | "53300" | "53400"
                        | "25P03" | "58030" | "25006",
                    ) => Self::Unavailable(error.into()),
                    Some(code) if code.len() == 5 && code.starts_with("08") => {
                        Self::Unavailable(error.into())
                    }
                    _ => Self::Query(error.into()),
                }
            }
            _ => Self::Query(error.into()),
        }
    }
}
