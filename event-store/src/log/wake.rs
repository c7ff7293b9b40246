//! Wakes those who wait for the log to grow: at once within this process, by notification on
//! PostgreSQL, and by polling for whatever neither of them told.

use std::time::Duration;

use database::{Database, Timestamp};
use prometheus_client::metrics::gauge::Gauge;
use sqlx::postgres::PgListener;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{read, within};
use crate::clock::Clock;

/// How late an append of another process may be noticed when no notification came.
const POLL: Duration = Duration::from_millis(75);

/// A poll that takes longer hangs on a dead connection; the next one gets another.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before listening again after a lost connection; polling goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// The channel that `log_append` notifies.
const CHANNEL: &str = "banyan_log";

/// The newest head that this process knows of.
#[derive(Clone)]
pub(super) struct Heads {
    newest: watch::Sender<i64>,
    pub(super) clock: Clock,
    head: Gauge,
}

impl Heads {
    pub(super) fn watch(
        database: Database,
        head: i64,
        gauge: Gauge,
        stop: CancellationToken,
    ) -> Self {
        let heads = Self {
            newest: watch::Sender::new(head),
            clock: Clock::default(),
            head: gauge,
        };
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(poll(database.clone(), heads.clone())),
        );
        if database.postgres_pool().is_some() {
            tokio::spawn(stop.run_until_cancelled_owned(listen(database, heads.clone())));
        }
        heads
    }

    /// Learns of a head; older news changes nothing.
    pub(super) fn saw(&self, head: i64) {
        self.newest.send_if_modified(|newest| {
            let grew = head > *newest;
            *newest = head.max(*newest);
            self.head.set(*newest);
            grew
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }
}

async fn poll(database: Database, heads: Heads) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        ticks.tick().await;
        let asked = Timestamp::system();
        match within(POLL_TIMEOUT, read::head_and_time(&database)).await {
            Ok((head, time)) => {
                away = false;
                heads.clock.learn(asked, time);
                heads.saw(head.position);
            }
            Err(error) if !away => {
                away = true;
                tracing::warn!(%error, "cannot read the log's head");
            }
            Err(_) => {}
        }
    }
}

async fn listen(database: Database, heads: Heads) {
    let Some(pool) = database.postgres_pool() else {
        return;
    };
    loop {
        if let Err(error) = forward(pool, &heads).await {
            tracing::warn!(%error, "not listening to the log's notifications; polling");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn forward(pool: &sqlx::PgPool, heads: &Heads) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        if let Ok(head) = listener.recv().await?.payload().parse() {
            heads.saw(head);
        }
    }
}
