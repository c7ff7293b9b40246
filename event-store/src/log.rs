//! The log: all events in one total order, in a database of its own.
//!
//! Invariants: positions are contiguous from 1 and in commit order, so whoever has seen position N
//! has seen all below it; a stream's versions are contiguous from 1; a stored event never changes.

mod append;
mod archived;
mod epochs;
mod group_commit;
mod holes;
mod moment;
mod postgres;
mod read;
mod refill;
mod remains;
mod removing;
mod sqlite;
mod wake;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use contracts::Recorded;
use database::{Database, Dialect, Error, Sql, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub use append::{Append, AppendError, Appended, Expected, MAX_BATCH, MAX_EVENT_BYTES};
pub use archived::ArchivedRange;
pub use epochs::Epoch;
pub use read::{READ_LIMIT, ReadQuery, Replaced, category_of};
pub use refill::{LOST, RefillError};
pub use remains::{Refilled, Remains};
pub(crate) use removing::{note, relocate, remove};

use self::{
    group_commit::{GroupCommit, Writer},
    read::Archived,
    wake::Heads,
};
use crate::{
    Metrics,
    personal::{Keys, MasterKeys},
};

/// Connections of one process to the log: one appends, one listens, the rest read. Small, since
/// every service has such a pool and PostgreSQL allows 100 in all by default.
const CONNECTIONS: u32 = 5;

/// A statement of the log takes milliseconds; one that takes this long met a network that swallows
/// packets, which TCP itself notices after a quarter of an hour.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a log is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// The database's own options.
    pub database: database::Options,
    /// Where this process counts what it does.
    pub metrics: Metrics,
    /// How long one statement may take before its caller is told that the log is unavailable.
    pub timeout: Duration,
    /// Whether PostgreSQL notifies this process of each append. Who has a bus hears of events from
    /// there and needs no second messenger, which costs the database a wake-up for each append and
    /// process; without notifications an append is noticed by polling, some 75 ms later.
    pub notified: bool,
    /// What people's keys are sealed under. Without them this process writes no personal field, and
    /// finds those that it reads sealed.
    pub personal: Option<MasterKeys>,
    /// Where this process finds the archive, if not where the log's database says that it is.
    pub archive_dir: Option<PathBuf>,
}

impl Default for LogOptions {
    fn default() -> Self {
        let database = database::Options {
            max_connections: CONNECTIONS,
            ..Default::default()
        };
        Self {
            database,
            metrics: Metrics::default(),
            timeout: TIMEOUT,
            notified: true,
            personal: None,
            archive_dir: None,
        }
    }
}

/// The log's newest position, and its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// Positions of different epochs do not compare.
    pub epoch: Uuid,
    /// The newest event's position; 0 for an empty log.
    pub position: i64,
}

/// An open log; cloning shares it.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
    metrics: Metrics,
}

struct Inner {
    database: Database,
    /// As it was seen last.
    epoch: RwLock<Uuid>,
    appends: GroupCommit,
    heads: Heads,
    personal: Keys,
    archived: Archived,
    timeout: Duration,
    _background: DropGuard,
}

impl Log {
    /// Opens `postgres://…` or `sqlite:path`, creating the tables where they are missing. Where they
    /// are there, the right to read them and to call `log_append` and, for who takes backups,
    /// `log_backed_up` is enough on PostgreSQL.
    ///
    /// # Errors
    /// As [`Database::connect`] and [`Database::migrate`] say.
    pub async fn open(url: &str, options: LogOptions) -> Result<Self, Error> {
        let database = Database::connect(url, options.database).await?;
        database.migrate(migrations()).await?;
        let head = read::head(&database).await?;
        let background = CancellationToken::new();
        let metrics = options.metrics;
        let heads = Heads::new(head.position, metrics.appends.head.clone());
        heads.follow(&database, options.notified, &background);
        metrics.appends.head.set(head.position);
        let appends = GroupCommit::start(Writer {
            database: database.clone(),
            heads: heads.clone(),
            appends: metrics.appends.clone(),
            timeout: options.timeout,
        });
        let inner = Inner {
            personal: Keys::new(database.clone(), options.personal, options.timeout),
            database,
            epoch: RwLock::new(head.epoch),
            appends,
            heads,
            archived: Archived::new(options.archive_dir, options.timeout),
            timeout: options.timeout,
            _background: background.drop_guard(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            metrics,
        })
    }

    /// The same log for another part of this process, whose relay and consumers count for
    /// themselves; appends are counted where the log was opened.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            metrics: self.metrics.apart(),
        }
    }

    /// Creates the tables, or brings them up to date, as [`Log::open`] does, and nothing else.
    ///
    /// # Errors
    /// As [`Database::connect`] and [`Database::migrate`] say.
    pub async fn migrate(url: &str) -> Result<(), Error> {
        let database = Database::connect(url, LogOptions::default().database).await?;
        database.migrate(migrations()).await
    }

    /// The log's identity, as this process saw it last: on opening, or in [`Log::head`].
    pub fn epoch(&self) -> Uuid {
        let epoch = self.inner.epoch.read();
        *epoch.unwrap_or_else(PoisonError::into_inner)
    }

    /// Which database the log lies in.
    pub fn dialect(&self) -> Dialect {
        self.inner.database.dialect()
    }

    /// Appends one batch: all of it or nothing. Whoever appends at the same moment shares the
    /// commit. Dropping the future does not take the batch back.
    ///
    /// An event whose id is already there gets its old position again, provided that stream, type,
    /// payload and (unless any will do) version are the same. Time and trace may differ: a handler
    /// that runs again after its database was restored derives the same id at another time.
    ///
    /// # Errors
    /// [`AppendError`]; after [`AppendError::Unavailable`] the batch may or may not be stored, and
    /// a repeat is safe.
    pub async fn append(&self, batch: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        let mut answers = self.append_each(vec![batch]).await;
        answers.pop().unwrap_or(Err(AppendError::Closed))
    }

    /// Appends several batches in this order, each for itself all or nothing; one answer for each.
    pub async fn append_each(
        &self,
        batches: Vec<Vec<Append>>,
    ) -> Vec<Result<Vec<Appended>, AppendError>> {
        self.inner.appends.append(batches).await
    }

    /// The newest position and the log's identity, as the database has them now.
    ///
    /// # Errors
    /// As the database says.
    pub async fn head(&self) -> Result<Head, Error> {
        let head = within(self.inner.timeout, read::head(&self.inner.database)).await?;
        self.inner.heads.saw(head.position);
        let epoch = self.inner.epoch.write();
        *epoch.unwrap_or_else(PoisonError::into_inner) = head.epoch;
        Ok(head)
    }

    /// Reads events; see [`ReadQuery`]. What was archived is read from its file, where the text of the
    /// error names the one that is missing or damaged.
    ///
    /// # Errors
    /// As the database or the disk of the archive says.
    pub async fn read(&self, query: &ReadQuery) -> Result<Vec<Recorded>, Error> {
        let inner = &self.inner;
        read::events(&inner.database, &inner.archived, query, inner.timeout).await
    }

    /// All events of a range whose rows are there.
    pub(crate) async fn rows(&self, first: i64, last: i64) -> Result<Vec<Recorded>, Error> {
        let mut events: Vec<Recorded> = Vec::new();
        let mut at = first - 1;
        while at < last {
            let left = u32::try_from(last - at).unwrap_or(u32::MAX);
            let query = ReadQuery::after(at).limit(left);
            let stored = read::stored(self.database(), &query);
            let (page, _) = within(self.inner.timeout, stored).await?;
            let Some(newest) = page.last() else { break };
            at = newest.position;
            events.extend(page);
        }
        Ok(events)
    }

    /// The newest position whose event the log took before `time`, 0 when there is none: reading
    /// [`ReadQuery::after`] it begins with that time. Exact while the log's clock never goes back;
    /// where it did, what was taken within that step may lie on the wrong side, so whoever must miss
    /// nothing asks for a time that is earlier by more than that. Events from before the log noted
    /// when it took them count by when they happened.
    ///
    /// # Errors
    /// As the database says.
    pub async fn position_before(&self, time: Timestamp) -> Result<i64, Error> {
        let inner = &self.inner;
        moment::position_before(&inner.database, &inner.archived, time, inner.timeout).await
    }

    /// The newest head that this process knows of; changes with every append. A hint that may come
    /// late by one polling interval, never a promise.
    pub fn appended(&self) -> watch::Receiver<i64> {
        self.inner.heads.subscribe()
    }

    /// What the log's clock says now, as far as this process knows; for measuring only.
    pub(crate) fn clock(&self) -> Timestamp {
        self.inner.database.clock().estimate()
    }

    /// What this part counts about the log, its relays and its consumers.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Up to which position a backup of the log is known to be safe; 0 when nobody said so.
    ///
    /// # Errors
    /// As the database says.
    pub async fn backed_up_to(&self) -> Result<i64, Error> {
        let sql = "SELECT backed_up_to FROM log_head";
        Ok(self
            .inner
            .database
            .fetch_one::<(i64,)>(sql, Vec::new())
            .await?
            .0)
    }

    /// The ranges of events that lie in the archive's files alone, in the order of positions.
    ///
    /// # Errors
    /// As the database says.
    pub async fn archived_ranges(&self) -> Result<Vec<ArchivedRange>, Error> {
        within(self.inner.timeout, archived::ranges(self.database())).await
    }

    /// The last position whose row is gone; 0 while the database has all events.
    ///
    /// # Errors
    /// As the database says.
    pub async fn archived_to(&self) -> Result<i64, Error> {
        let floor = within(self.inner.timeout, archived::floor(self.database())).await?;
        Ok(floor.position)
    }

    /// Notes that a backup of this epoch up to `position` is safe; never moves it back. Sent outbox
    /// rows up to there may go.
    ///
    /// # Errors
    /// As the database says.
    pub async fn backed_up(&self, epoch: Uuid, position: i64) -> Result<(), Error> {
        let sql = Sql::by_dialect(
            "SELECT log_backed_up($1, $2)",
            "UPDATE log_head SET backed_up_to = $2
             WHERE epoch = $1 AND backed_up_to < $2 AND head >= $2",
        );
        let values = database::params![epoch, position];
        let noted = self.inner.database.execute(sql, values);
        within(self.inner.timeout, noted).await?;
        Ok(())
    }

    /// Says that the log was restored from a backup: gives it a new identity from its head on.
    /// Consumers stand still until an operator lets each adopt it.
    ///
    /// # Errors
    /// As the database says.
    pub async fn begin_epoch(&self, reason: &str, actor: &str) -> Result<Epoch, Error> {
        let begun = epochs::begin(&self.inner.database, reason, actor);
        let begun = within(self.inner.timeout, begun).await?;
        self.head().await?;
        Ok(begun)
    }

    /// The identities that it was given by [`Log::begin_epoch`], the newest first.
    ///
    /// # Errors
    /// As the database says.
    pub async fn epochs(&self) -> Result<Vec<Epoch>, Error> {
        within(self.inner.timeout, epochs::list(&self.inner.database)).await
    }

    /// The newest position that the log shares with what it was under the identity `other`: its
    /// head for the present one, none for a stranger's.
    ///
    /// # Errors
    /// As the database says.
    pub async fn shared_with(&self, other: Uuid) -> Result<Option<i64>, Error> {
        let shared = epochs::shared_with(&self.inner.database, other);
        within(self.inner.timeout, shared).await
    }

    /// The keys of the people whom events name.
    pub fn personal(&self) -> &Keys {
        &self.inner.personal
    }

    /// The database the log lies in, for leases and cursors of those who forward it.
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Asks the database for a sign of life; what a readiness check calls.
    ///
    /// # Errors
    /// As the database says.
    pub async fn ping(&self) -> Result<(), Error> {
        self.inner.database.ping().await
    }
}

/// The outcome of `work`, or that the database is unavailable once the time is over.
pub(crate) async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = || Error::Unavailable(io::Error::from(io::ErrorKind::TimedOut).into());
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or_else(|_| Err(late()))
}

fn migrations() -> database::Migrations {
    database::Migrations::new(
        "log",
        sqlx::migrate!("../migrations/log/postgres"),
        sqlx::migrate!("../migrations/log/sqlite"),
    )
}
