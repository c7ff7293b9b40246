use thiserror::Error;

/// What went wrong in the database, by what the caller can do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// The database cannot be reached, or had no free connection in time. The statement may or may
    /// not have run; a repeat is safe for idempotent work.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The disk under the database is full: nothing was done, a repeat succeeds once there is room.
    #[error("the disk of the database is full: {0}")]
    Full(#[source] sqlx::Error),
    /// A deadlock, a serialisation failure or a busy file: nothing was done, a repeat may succeed.
    #[error("the database is contended: {0}")]
    Contention(#[source] sqlx::Error),
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
    Query(#[source] sqlx::Error),
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
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(cause) => {
                let kind = match cause.kind() {
                    ErrorKind::UniqueViolation => Some(Constraint::Unique),
                    ErrorKind::ForeignKeyViolation => Some(Constraint::ForeignKey),
                    ErrorKind::CheckViolation => Some(Constraint::Check),
                    ErrorKind::NotNullViolation => Some(Constraint::NotNull),
                    _ => None,
                };
                if let Some(kind) = kind {
                    let name = cause.constraint().map_or_else(
                        || {
                            cause
                                .message()
                                .rsplit(": ")
                                .next()
                                .unwrap_or_default()
                                .to_owned()
                        },
                        ToOwned::to_owned,
                    );
                    return Self::Constraint { kind, name };
                }
                match cause.code().as_deref() {
                    // PostgreSQL: disk_full. SQLite: FULL.
                    Some("53100" | "13") => Self::Full(error),
                    // PostgreSQL: serialisation failure, deadlock, lock timeout.
                    Some("40001" | "40P01" | "55P03") => Self::Contention(error),
                    // PostgreSQL: shutting down, cannot connect now, too many connections,
                    // an idle transaction that was ended, other resources that are used up, an I/O
                    // error, class 08; and a server that only reads, which is a standby that was
                    // not promoted yet.
                    Some(
                        "57P01" | "57P02" | "57P03" | "53000" | "53200" | "53300" | "53400"
                        | "25P03" | "58030" | "25006",
                    ) => Self::Unavailable(error),
                    Some(code) if code.len() == 5 && code.starts_with("08") => {
                        Self::Unavailable(error)
                    }
                    // SQLite: BUSY, LOCKED and their extended codes.
                    Some("5" | "6" | "261" | "517" | "262") => Self::Contention(error),
                    // SQLite: IOERR and CANTOPEN with their extended codes.
                    Some(code)
                        if code.len() < 5
                            && code
                                .parse::<u32>()
                                .is_ok_and(|code| matches!(code & 0xff, 10 | 14)) =>
                    {
                        Self::Unavailable(error)
                    }
                    _ => Self::Query(error),
                }
            }
            _ => Self::Query(error),
        }
    }
}
