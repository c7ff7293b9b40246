//! Makes the partitions of PostgreSQL's table of events ahead of the log's head, and drops those whose
//! events all lie in the archive's files. SQLite keeps one table.
//!
//! Invariants, which the database's functions keep: partitions follow one another without a gap, each made
//! and attached in one transaction; one is dropped only when no row is left in it. Nothing depends on this
//! loop: an append that finds no partition makes it itself, and several processes may run it at once.

use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};
use database::{Database, Dialect, Error, params};
use faults::Write;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use crate::Log;

/// How many empty partitions lie beyond the head.
pub const AHEAD: i64 = 3;

/// Between two looks: three partitions are two minutes of appends at full speed.
const EVERY: Duration = Duration::from_secs(30);

/// What a look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Partitions that were made.
    pub made: i64,
    /// Partitions that were dropped.
    pub dropped: i64,
    /// Whether one is left that could be dropped: somebody was reading, and all others would have waited
    /// behind the drop.
    pub is_one_left: bool,
}

/// Looks after a log's partitions; clones share what they show.
#[derive(Clone, Debug, Default)]
pub struct Partitions {
    ahead: Gauge,
}

impl Partitions {
    /// Adds to a registry how many lie ahead, for a log that has any.
    pub fn register(&self, log: &Log, registry: &mut Registry) {
        if log.dialect() == Dialect::Postgres {
            registry.register(
                "log_partitions_ahead",
                "Empty partitions beyond the log's head",
                self.ahead.clone(),
            );
        }
    }

    /// Looks until the shutdown.
    pub async fn run(self, log: Log, shutdown: Shutdown) {
        if log.dialect() == Dialect::Sqlite {
            return shutdown.cancelled().await;
        }
        loop {
            match self.look(&log).await {
                Ok(Looked {
                    made: 0,
                    dropped: 0,
                    ..
                }) => {}
                Ok(Looked { made, dropped, .. }) => {
                    tracing::info!(made, dropped, "partitions of the log's events");
                }
                Err(error) => {
                    tracing::error!(%error, "cannot look after the partitions of the log's events");
                }
            }
            if shutdown.sleep(EVERY).await == Slept::ShutDown {
                return;
            }
        }
    }

    /// Makes what is missing, and drops what is no longer needed.
    ///
    /// # Errors
    /// As the database says; what was done until then is.
    pub async fn look(&self, log: &Log) -> Result<Looked, Error> {
        let database = log.database();
        if database.dialect() == Dialect::Sqlite {
            return Ok(Looked::default());
        }
        let looked = tend(database).await;
        self.ahead.set(ahead(database).await?);
        looked
    }
}

async fn tend(database: &Database) -> Result<Looked, Error> {
    let mut looked = Looked::default();
    if ahead(database).await? < AHEAD {
        looked.made = make(database).await?;
    }
    loop {
        match drop_oldest(database).await? {
            Some(0) => return Ok(looked),
            Some(dropped) => looked.dropped += dropped,
            None => {
                looked.is_one_left = true;
                return Ok(looked);
            }
        }
    }
}

async fn make(database: &Database) -> Result<i64, Error> {
    let mut tx = database.begin().await?;
    let sql = "SELECT log_make_partitions($1)";
    let (made,) = tx.fetch_one(sql, params![AHEAD]).await?;
    faults::before(Write::PartitionsMake);
    tx.commit().await?;
    faults::after(Write::PartitionsMake);
    Ok(made)
}

/// How many were dropped, one at most; `None` where somebody was reading.
async fn drop_oldest(database: &Database) -> Result<Option<i64>, Error> {
    let mut tx = database.begin().await?;
    let sql = "SELECT log_drop_partition()";
    let (dropped,): (Option<i64>,) = tx.fetch_one(sql, params![]).await?;
    if dropped.is_none_or(|dropped| dropped == 0) {
        tx.rollback().await?;
        return Ok(dropped);
    }
    faults::before(Write::PartitionDrop);
    tx.commit().await?;
    faults::after(Write::PartitionDrop);
    Ok(dropped)
}

/// How many lie beyond the head.
async fn ahead(database: &Database) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM log_partitions
               WHERE first_position > (SELECT head FROM log_head)";
    let (ahead,): (i64,) = database.fetch_one(sql, params![]).await?;
    Ok(ahead)
}
