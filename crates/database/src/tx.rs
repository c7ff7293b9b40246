use std::{sync::Arc, time::Instant};

use sqlx::{Postgres, Transaction};

use crate::{
    Dialect, Error, Record, Result, Sql, Timestamp, Value,
    connect::{Inner, NOW},
    deferred::{Deferred, Pending},
    postgres,
    sqlite::Unit,
};

/// Sees each commit of a [`crate::Database`]; tests use it to die at every durable write.
///
/// It is told the signals that the commit raises, by which a test tells the write that it means
/// from what runs beside it.
pub trait CommitHook: Send + Sync {
    /// Called before the commit is sent; an error rolls back instead.
    ///
    /// # Errors
    /// Whatever the test wants the caller of `commit` to see.
    fn before(&self, signals: &[&'static str]) -> Result<()>;
    /// Called once the commit is durable; an error reaches the caller although the data is safe,
    /// which is what a crash right after a commit looks like.
    ///
    /// # Errors
    /// Whatever the test wants the caller of `commit` to see.
    fn after(&self, signals: &[&'static str]) -> Result<()>;
}

/// An open transaction. Dropping it without [`Tx::commit`] rolls it back.
pub struct Tx {
    inner: Inside,
    database: Arc<Inner>,
    signals: Vec<&'static str>,
    on_commit: Vec<OnCommit>,
    pending: Pending,
    /// The savepoints, the innermost last.
    saved: Vec<Savepoint>,
}

type OnCommit = Box<dyn FnOnce() + Send + Sync>;

/// The database learns of a savepoint with the first statement after it: a part that only defers costs
/// no round trip.
struct Savepoint {
    /// What was pending then.
    pending: Pending,
    /// How much was to be done once it has committed.
    on_commit: usize,
    /// Whether the database knows of it; then it knows of those around it, too.
    is_set: bool,
}

enum Inside {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Unit),
}

impl Tx {
    pub(crate) fn postgres(tx: Transaction<'static, Postgres>, database: Arc<Inner>) -> Self {
        Self {
            inner: Inside::Postgres(tx),
            database,
            signals: Vec::new(),
            on_commit: Vec::new(),
            pending: Pending::default(),
            saved: Vec::new(),
        }
    }

    pub(crate) fn sqlite(unit: Unit, database: Arc<Inner>) -> Self {
        Self {
            inner: Inside::Sqlite(unit),
            database,
            signals: Vec::new(),
            on_commit: Vec::new(),
            pending: Pending::default(),
            saved: Vec::new(),
        }
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        match self.inner {
            Inside::Postgres(_) => Dialect::Postgres,
            Inside::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Runs a statement; the number of rows it touched.
    ///
    /// # Errors
    /// As the database says; see [`Error`]. On PostgreSQL the transaction is then unusable.
    pub async fn execute(&mut self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<u64> {
        self.set_savepoints().await?;
        self.run(sql.into(), values).await
    }

    async fn run(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64> {
        let done = match &mut self.inner {
            Inside::Postgres(tx) => {
                postgres::execute(&mut **tx, sql.text(Dialect::Postgres), values).await
            }
            Inside::Sqlite(unit) => unit.execute(sql.text(Dialect::Sqlite), &values),
        };
        done.map_err(|error| self.database.noted(error))
    }

    /// Runs a statement once for each of `rows`; the number of rows that all of them touched. On
    /// PostgreSQL one statement over arrays is the better way for many.
    ///
    /// # Errors
    /// As the database says; see [`Error`]. The rows before the one that failed stay in the
    /// transaction on SQLite.
    pub async fn execute_each(
        &mut self,
        sql: impl Into<Sql>,
        rows: Vec<Vec<Value>>,
    ) -> Result<u64> {
        self.set_savepoints().await?;
        let sql = sql.into();
        if let Inside::Sqlite(unit) = &mut self.inner {
            let done = unit.execute_each(sql.text(Dialect::Sqlite), &rows);
            return done.map_err(|error| self.database.noted(error));
        }
        let mut touched = 0;
        for values in rows {
            touched += self.run(sql, values).await?;
        }
        Ok(touched)
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn fetch_all<T: Record>(
        &mut self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<Vec<T>> {
        self.set_savepoints().await?;
        let done = match &mut self.inner {
            Inside::Postgres(tx) => {
                let text = sql.into().text(Dialect::Postgres);
                postgres::fetch_all(&mut **tx, text, values).await
            }
            Inside::Sqlite(unit) => unit.fetch_all(sql.into().text(Dialect::Sqlite), &values),
        };
        done.map_err(|error| self.database.noted(error))
    }

    /// Reads the first row, if there is one.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn fetch_optional<T: Record>(
        &mut self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<Option<T>> {
        self.set_savepoints().await?;
        let done = match &mut self.inner {
            Inside::Postgres(tx) => {
                let text = sql.into().text(Dialect::Postgres);
                postgres::fetch_optional(&mut **tx, text, values).await
            }
            Inside::Sqlite(unit) => unit.fetch_optional(sql.into().text(Dialect::Sqlite), &values),
        };
        done.map_err(|error| self.database.noted(error))
    }

    /// Reads exactly one row; also what `INSERT … RETURNING` is read with.
    ///
    /// # Errors
    /// [`Error::NotFound`] without one; otherwise as the database says.
    pub async fn fetch_one<T: Record>(
        &mut self,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<T> {
        self.fetch_optional(sql, values)
            .await?
            .ok_or(Error::NotFound)
    }

    /// The database's time, as [`crate::Database::now`] tells it.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn now(&mut self) -> Result<Timestamp> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(Timestamp::of_sqlite());
        }
        if let Some(known) = self.database.clock.known() {
            return Ok(known);
        }
        let asked = Instant::now();
        let (said,) = self.fetch_one(NOW, Vec::new()).await?;
        self.database.clock.learn(asked, said);
        Ok(said)
    }

    /// Raises the database's signal `name` once this transaction has committed.
    pub fn signal(&mut self, name: &'static str) {
        if !self.signals.contains(&name) {
            self.signals.push(name);
        }
    }

    /// Does this once the transaction has committed, for whoever in this process wants to know. It is a
    /// hint, as a signal is: where the outcome of the commit is unknown, it is not done.
    pub fn on_commit(&mut self, then: impl FnOnce() + Send + Sync + 'static) {
        self.on_commit.push(Box::new(then));
    }

    /// Work of the kind `T` that is written before the commit, once for all who add to it.
    pub fn deferred<T: Deferred>(&mut self) -> &mut T {
        self.pending.of()
    }

    /// Writes now what was deferred, for whoever needs to find it written.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn write_deferred(&mut self) -> Result<()> {
        // What is written may defer in its turn.
        while !self.pending.is_empty() {
            for kind in self.pending.take() {
                kind.write(self).await?;
            }
        }
        Ok(())
    }

    /// Begins a part that can be taken back by itself.
    pub fn savepoint(&mut self) {
        self.saved.push(Savepoint {
            pending: self.pending.clone(),
            on_commit: self.on_commit.len(),
            is_set: false,
        });
    }

    /// Tells the database of the savepoints that it does not know yet.
    async fn set_savepoints(&mut self) -> Result<()> {
        let unset = self.saved.iter().filter(|saved| !saved.is_set).count();
        for place in self.saved.len() - unset..self.saved.len() {
            self.run("SAVEPOINT part".into(), Vec::new()).await?;
            self.saved[place].is_set = true;
        }
        Ok(())
    }

    /// Keeps the part that was begun last.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn release(&mut self) -> Result<()> {
        if self.saved.pop().is_some_and(|saved| saved.is_set) {
            let sql = "RELEASE SAVEPOINT part";
            self.run(sql.into(), Vec::new()).await?;
        }
        Ok(())
    }

    /// Takes back the part that was begun last, and nothing before it.
    ///
    /// # Errors
    /// As the database says; see [`Error`].
    pub async fn take_back(&mut self) -> Result<()> {
        let Some(saved) = self.saved.last() else {
            return Ok(());
        };
        self.pending = saved.pending.clone();
        self.on_commit.truncate(saved.on_commit);
        if saved.is_set {
            let sql = "ROLLBACK TO SAVEPOINT part";
            self.run(sql.into(), Vec::new()).await?;
        }
        self.release().await
    }

    /// Makes everything durable and visible, what was deferred too, then tells of it. On SQLite
    /// whoever waits to write meanwhile goes first and shares the commit.
    ///
    /// # Errors
    /// As the database says. After [`Error::Unavailable`] the outcome is unknown: the commit may
    /// have happened.
    pub async fn commit(mut self) -> Result<()> {
        self.write_deferred().await?;
        if let Some(hook) = &self.database.commit_hook {
            hook.before(&self.signals)?;
        }
        match self.inner {
            Inside::Postgres(tx) => {
                let committed = tx.commit().await;
                committed.map_err(|error| self.database.noted(error))?;
                for name in &self.signals {
                    self.database.signals.raise(name);
                }
            }
            Inside::Sqlite(unit) => {
                let committed = unit.commit(self.signals.clone()).await;
                committed.map_err(|error| self.database.noted(error))?;
            }
        }
        self.on_commit.into_iter().for_each(|then| then());
        if let Some(hook) = &self.database.commit_hook {
            hook.after(&self.signals)?;
        }
        Ok(())
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// As the database says; the server takes it back by itself when the connection is lost.
    pub async fn rollback(self) -> Result<()> {
        match self.inner {
            Inside::Postgres(tx) => tx.rollback().await?,
            Inside::Sqlite(unit) => drop(unit),
        }
        Ok(())
    }
}
