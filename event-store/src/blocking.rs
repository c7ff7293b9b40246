//! Who keeps others from writing to the log: an append waits for one lock, so one transaction that stays
//! open stops everybody.
//!
//! PostgreSQL is asked who waits for whom. SQLite has one writer at a time and tells nobody who it is:
//! there somebody waits in line and measures.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chassis::{Shutdown, shutdown::Slept};
use database::{Dialect, Error, Record, Timestamp, params};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use serde::{Deserialize, Serialize};

use crate::Log;

/// Between two looks: one statement, and in a quiet database no row.
const EVERY: Duration = Duration::from_secs(2);

/// What lasts shorter is an append that waits for its turn.
const SHORT: Duration = Duration::from_millis(500);

/// Those at the head of a queue: others wait for them, and they for nobody. Without the right to see
/// others' activity (`pg_read_all_stats`), the time that the first has waited stands for the age.
const LOOK: &str = "
    WITH waiting AS MATERIALIZED (
        SELECT l.pid, l.waitstart AS since, pg_blocking_pids(l.pid) AS blockers
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE NOT l.granted AND a.datname = current_database()
    ), blocking AS (
        SELECT blocker, count(DISTINCT waiting.pid) AS waiting, min(since) AS since
        FROM waiting CROSS JOIN LATERAL unnest(blockers) AS blocker
        WHERE blocker NOT IN (SELECT pid FROM waiting)
        GROUP BY blocker
    )
    SELECT CAST(a.pid AS BIGINT) AS pid, a.usename::TEXT AS \"user\", a.application_name AS application,
           a.state, a.query, CAST(extract(epoch FROM clock_timestamp()
               - coalesce(a.xact_start, b.since, clock_timestamp())) * 1000 AS BIGINT) AS millis,
           b.waiting
    FROM blocking b JOIN pg_stat_activity a ON a.pid = b.blocker
    ORDER BY millis DESC LIMIT 1";

/// A transaction that others wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Record)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Its process in PostgreSQL.
    pub pid: Option<i64>,
    /// Whose it is.
    pub user: Option<String>,
    /// What its client calls itself.
    pub application: Option<String>,
    /// `active`, or `idle in transaction`; none without the right to see it.
    pub state: Option<String>,
    /// Its newest statement, likewise.
    pub query: Option<String>,
    /// How long it has been open.
    pub millis: i64,
    /// Who waits for it, whoever waits for these not counted.
    pub waiting: i64,
}

/// The newest blocker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastBlocker {
    /// When it was seen last.
    pub seen_at: Timestamp,
    /// Whether it still blocked then, as far as is known.
    pub blocks: bool,
    /// What it was.
    #[serde(flatten)]
    pub blocker: Blocker,
}

/// Looks who blocks the log, and shows it. Clones share what was seen.
#[derive(Clone, Debug, Default)]
pub struct Blocking(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<LastBlocker>,
    /// Since when this process waits in SQLite's line.
    in_line: Option<Instant>,
}

impl Blocking {
    /// Looks until the shutdown.
    pub async fn run(self, log: Log, shutdown: Shutdown) {
        loop {
            tokio::select! {
                looked = self.look(&log) => if let Err(error) = looked {
                    tracing::debug!(%error, "who blocks the log is not known");
                },
                () = shutdown.cancelled() => return,
            }
            if shutdown.sleep(EVERY).await == Slept::ShutDown {
                return;
            }
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// As the database says.
    pub async fn look(&self, log: &Log) -> Result<Option<Blocker>, Error> {
        let blocker = match log.dialect() {
            Dialect::Postgres => log.database().fetch_optional(LOOK, params![]).await?,
            Dialect::Sqlite => self.stand_in_line(log).await?,
        };
        let blocker = blocker.filter(|blocker: &Blocker| blocker.millis >= millis(SHORT));
        self.saw(blocker.clone());
        Ok(blocker)
    }

    /// What blocks, or blocked last.
    #[must_use]
    pub fn last(&self) -> Option<LastBlocker> {
        self.seen().last.clone()
    }

    async fn stand_in_line(&self, log: &Log) -> Result<Option<Blocker>, Error> {
        let began = Instant::now();
        self.seen().in_line = Some(began);
        let turn = log.database().begin().await;
        self.seen().in_line = None;
        turn?.rollback().await?;
        Ok(Some(Blocker {
            pid: None,
            user: None,
            application: None,
            state: None,
            query: None,
            millis: millis(began.elapsed()),
            waiting: 1,
        }))
    }

    fn saw(&self, blocker: Option<Blocker>) {
        let mut seen = self.seen();
        let Some(blocker) = blocker else {
            if let Some(last) = &mut seen.last {
                last.blocks = false;
            }
            return;
        };
        let is_another = seen
            .last
            .as_ref()
            .is_none_or(|last| !last.blocks || last.blocker.pid != blocker.pid);
        if is_another {
            tracing::warn!(?blocker, "a transaction keeps others from the log");
        }
        seen.last = Some(LastBlocker {
            seen_at: Timestamp::system(),
            // In SQLite's line it is over when it is known.
            blocks: blocker.pid.is_some(),
            blocker,
        });
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the log is blocked now, how long it was the last time, and when that was.
    fn shown(&self) -> [f64; 3] {
        let seen = self.seen();
        let last = seen.last.as_ref();
        let lasted = last.map_or(0, |last| last.blocker.millis);
        let now = match (last, seen.in_line.map(|began| began.elapsed())) {
            (_, Some(waited)) if waited >= SHORT => millis(waited),
            (Some(last), _) if last.blocks => lasted,
            _ => 0,
        };
        let at = last.map_or(0, |last| last.seen_at.as_micros());
        [now as f64 / 1e3, lasted as f64 / 1e3, at as f64 / 1e6]
    }
}

impl Collector for Blocking {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let [now, lasted, at] = self.shown();
        let shown = [
            (
                "log_blocked_seconds",
                "Age of the transaction that others wait for now, 0 without one",
                now,
            ),
            (
                "log_last_block_seconds",
                "How old the last one was when it was seen last",
                lasted,
            ),
            (
                "log_last_block_timestamp_seconds",
                "When that was, in seconds since 1970",
                at,
            ),
        ];
        for (name, help, value) in shown {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
