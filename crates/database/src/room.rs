//! Whether there is room on the disk. A full disk still lets the database answer and read, and take
//! writes that fit into its pages, so this is known from writes that were refused; and since nobody may
//! write in quiet hours, whether there is room again is found out by trying.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Database, Error, Result, Sql, connect::Inner};

/// How long a full disk is told of after the last write that it refused, where it cannot be tried
/// whether there is room: in a database in which this user may not make a table.
pub const FULL_REMEMBERED: Duration = Duration::from_secs(30);

/// Takes more room than is left in pages that exist: a megabyte on `PostgreSQL`; on SQLite more than
/// its cache holds back from the disk.
const TRY: Sql = Sql::by_dialect(
    "CREATE TABLE room_is_tried AS
     SELECT repeat('x', 1000) AS bytes FROM generate_series(1, 1000)",
    "CREATE TABLE room_is_tried AS SELECT zeroblob(4194304) AS bytes",
);

/// The last write that found no room: when, and what the database said.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<Option<(Instant, String)>>);

impl Refused {
    fn last(&self) -> Option<(Instant, String)> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    fn note(&self, error: &Error) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), error.to_string()));
    }

    /// Forgets what was refused then, unless a write was refused since.
    fn forget(&self, at: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.take_if(|(noted, _)| *noted == at);
    }
}

impl Inner {
    /// The error as ours, with a full disk remembered.
    pub(crate) fn noted(&self, error: impl Into<Error>) -> Error {
        let error = error.into();
        if matches!(error, Error::Full(_)) {
            self.refused.note(&error);
        }
        error
    }
}

impl Database {
    /// Whether writes find room on the disk. Once one was refused it is tried, at each call, with a
    /// table that is rolled back, until there is room for it.
    ///
    /// # Errors
    /// What the database said. Where it cannot be tried: for [`FULL_REMEMBERED`] after the last write
    /// that found no room.
    pub async fn room(&self) -> std::result::Result<(), String> {
        let Some((at, text)) = self.inner.refused.last() else {
            return Ok(());
        };
        match self.try_room().await {
            Ok(()) => {
                self.inner.refused.forget(at);
                Ok(())
            }
            Err(error @ Error::Full(_)) => Err(error.to_string()),
            Err(_) if at.elapsed() < FULL_REMEMBERED => Err(text),
            Err(_) => Ok(()),
        }
    }

    async fn try_room(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(TRY, Vec::new()).await?;
        tx.rollback().await
    }
}
