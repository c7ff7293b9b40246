mod place;
mod whole;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::sync::watch;

use self::place::{Place, connect_postgres};
use crate::{
    Clock, CommitHook, Error, Record, Result, Sql, Timestamp, Tx, Value, postgres, room::Refused,
    signal::Signals, sqlite::Sqlite,
};

/// Which of the two databases this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 15 or newer.
    Postgres,
    /// SQLite 3.35 or newer (bundled).
    Sqlite,
}

/// Asks PostgreSQL for its time.
pub(crate) const NOW: &str = "SELECT clock_timestamp()";

/// How a [`Database`] is opened.
#[derive(Clone)]
pub struct Options {
    /// Connections at most: PostgreSQL's pool, or SQLite's readers (its writer is always one).
    pub max_connections: u32,
    /// How long a caller waits for a free connection before it gets [`Error::Unavailable`].
    pub acquire_timeout: Duration,
    /// PostgreSQL ends a transaction that sits idle this long, so that nobody can stall a lock.
    pub idle_in_transaction_timeout: Duration,
    /// For tests: sees, and may break, each commit.
    pub commit_hook: Option<Arc<dyn CommitHook>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 8,
            acquire_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(10),
            commit_hook: None,
        }
    }
}

/// An open database; cloning shares its connections.
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pools: Pools,
    pub(crate) signals: Arc<Signals>,
    pub(crate) commit_hook: Option<Arc<dyn CommitHook>>,
    pub(crate) clock: Clock,
    pub(crate) refused: Refused,
}

pub(crate) enum Pools {
    Postgres(PgPool),
    Sqlite(Sqlite),
}

/// How much of a pool of connections is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// `all` on PostgreSQL; `writer` and `readers` on SQLite.
    pub name: &'static str,
    /// Open connections.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// How many there may be.
    pub max: u32,
}

impl PoolState {
    fn of(name: &'static str, pool: &PgPool) -> Self {
        let open = pool.size();
        Self {
            name,
            open,
            // Counted apart from the open ones: never more than these.
            idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX).min(open),
            max: pool.options().get_max_connections(),
        }
    }
}

impl Database {
    /// Opens `postgres://user@host/name` or `sqlite:path` (the file is created when missing).
    ///
    /// # Errors
    /// [`Error::Configuration`] for an unusable URL or folder, [`Error::Unavailable`] when the
    /// server does not answer.
    pub async fn connect(url: &str, options: Options) -> Result<Self> {
        let signals = Arc::new(Signals::default());
        let pools = match Place::of(url)? {
            Place::Postgres(connect) => {
                Pools::Postgres(connect_postgres(url, *connect, &options).await?)
            }
            Place::Sqlite(path) => {
                Pools::Sqlite(Sqlite::open(path, &options, Arc::clone(&signals))?)
            }
        };
        let inner = Inner {
            pools,
            signals,
            commit_hook: options.commit_hook,
            clock: Clock::default(),
            refused: Refused::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Finds what [`Database::connect`] would refuse about a URL by itself, without connecting.
    ///
    /// # Errors
    /// [`Error::Configuration`]; its text holds no password.
    pub fn check(url: &str) -> Result<()> {
        Place::of(url).map(|_| ())
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        match self.inner.pools {
            Pools::Postgres(_) => Dialect::Postgres,
            Pools::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is to be had in time.
    pub async fn begin(&self) -> Result<Tx> {
        match &self.inner.pools {
            Pools::Postgres(pool) => {
                let begun = whole::begin(pool).await?;
                Ok(Tx::postgres(begun, Arc::clone(&self.inner)))
            }
            Pools::Sqlite(sqlite) => {
                let unit = sqlite.writer.begin().await?;
                Ok(Tx::sqlite(unit, Arc::clone(&self.inner)))
            }
        }
    }

    /// Runs one writing statement, which is its own transaction: durable when this returns. The
    /// number of rows it touched.
    ///
    /// # Errors
    /// As the database says; see [`Error`]. After [`Error::Unavailable`] the outcome is unknown.
    pub async fn execute(&self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<u64> {
        let Pools::Postgres(pool) = &self.inner.pools else {
            let mut tx = self.begin().await?;
            let touched = tx.execute(sql, values).await?;
            tx.commit().await?;
            return Ok(touched);
        };
        if let Some(hook) = &self.inner.commit_hook {
            hook.before(&[])?;
        }
        let text = sql.into().text(Dialect::Postgres);
        let touched = postgres::execute(pool, text, values).await;
        let touched = touched.map_err(|error| self.inner.noted(error))?;
        if let Some(hook) = &self.inner.commit_hook {
            hook.after(&[])?;
        }
        Ok(touched)
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn fetch_all<T: Record>(
        &self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<Vec<T>> {
        let read = match &self.inner.pools {
            Pools::Postgres(pool) => {
                postgres::fetch_all(pool, sql.into().text(Dialect::Postgres), values).await
            }
            Pools::Sqlite(sqlite) => {
                let text = sql.into().text(Dialect::Sqlite);
                sqlite.readers.fetch_all(text, values).await
            }
        };
        read.map_err(|error| self.inner.noted(error))
    }

    /// Reads the first row, if there is one.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn fetch_optional<T: Record>(
        &self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<Option<T>> {
        let read = match &self.inner.pools {
            Pools::Postgres(pool) => {
                postgres::fetch_optional(pool, sql.into().text(Dialect::Postgres), values).await
            }
            Pools::Sqlite(sqlite) => {
                let text = sql.into().text(Dialect::Sqlite);
                sqlite.readers.fetch_optional(text, values).await
            }
        };
        read.map_err(|error| self.inner.noted(error))
    }

    /// Reads exactly one row.
    ///
    /// # Errors
    /// [`Error::NotFound`] without one; otherwise as the database says.
    pub async fn fetch_one<T: Record>(&self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<T> {
        self.fetch_optional(sql, values)
            .await?
            .ok_or(Error::NotFound)
    }

    /// The database's time: PostgreSQL's, as [`Clock`] carries it; for SQLite this machine's.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn now(&self) -> Result<Timestamp> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(Timestamp::of_sqlite());
        }
        if let Some(known) = self.inner.clock.known() {
            return Ok(known);
        }
        let asked = Instant::now();
        let (said,) = self.fetch_one(NOW, Vec::new()).await?;
        self.inner.clock.learn(asked, said);
        Ok(said)
    }

    /// What this process knows of the database's clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Asks for a sign of life; what a readiness check calls.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not answer.
    pub async fn ping(&self) -> Result<()> {
        self.fetch_one::<(i64,)>("SELECT CAST(1 AS BIGINT)", Vec::new())
            .await
            .map(|_| ())
    }

    /// A counter that rises whenever a transaction that called [`Tx::signal`] with `name` commits
    /// in this process.
    pub fn signal(&self, name: &'static str) -> watch::Receiver<u64> {
        self.inner.signals.subscribe(name)
    }

    /// The PostgreSQL pool, for what only PostgreSQL has (LISTEN, advisory locks).
    pub fn postgres_pool(&self) -> Option<&PgPool> {
        match &self.inner.pools {
            Pools::Postgres(pool) => Some(pool),
            Pools::Sqlite(_) => None,
        }
    }

    /// How much of its connections is in use.
    pub fn pools(&self) -> Vec<PoolState> {
        match &self.inner.pools {
            Pools::Postgres(pool) => vec![PoolState::of("all", pool)],
            Pools::Sqlite(sqlite) => vec![sqlite.writer.state(), sqlite.readers.state()],
        }
    }

    /// Closes all connections and waits until they are closed.
    pub async fn close(&self) {
        match &self.inner.pools {
            Pools::Postgres(pool) => pool.close().await,
            Pools::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}
