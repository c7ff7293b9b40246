//! Wakes those who wait for the log to grow: at once within this process, by notification on
//! PostgreSQL, and by polling for whatever neither of them told.
//!
//! Every process of a system polls: often only while nothing notifies it.

use std::time::Duration;

use database::Database;
use prometheus_client::metrics::gauge::Gauge;
use sqlx::postgres::PgListener;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{read, within};

/// How late an append of another process may be noticed while nothing notifies.
const POLL: Duration = Duration::from_millis(75);

/// Between two polls while notifications come: PostgreSQL loses none on a living connection, so
/// this is for a connection whose death TCP has not told yet, and for the log's clock.
const POLL_LISTENING: Duration = Duration::from_secs(1);

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
    /// Whether notifications come.
    listening: watch::Sender<bool>,
    head: Gauge,
}

impl Heads {
    pub(super) fn new(head: i64, gauge: Gauge) -> Self {
        Self {
            newest: watch::Sender::new(head),
            listening: watch::Sender::new(false),
            head: gauge,
        }
    }

    /// Follows the database's head until `stop`: by polling, and by its notifications where they are
    /// wanted.
    pub(super) fn follow(&self, database: &Database, notified: bool, stop: &CancellationToken) {
        let polling = poll(database.clone(), self.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(polling));
        if notified && database.postgres_pool().is_some() {
            let listening = listen(database.clone(), self.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(listening));
        }
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
    let mut listening = heads.listening.subscribe();
    let mut away = false;
    loop {
        let asked = Instant::now();
        match within(POLL_TIMEOUT, read::head_and_time(&database)).await {
            Ok((head, time)) => {
                away = false;
                if let Some(time) = time {
                    database.clock().learn(asked.into_std(), time);
                }
                heads.saw(head.position);
            }
            Err(error) if !away => {
                away = true;
                tracing::warn!(%error, "cannot read the log's head");
            }
            Err(_) => {}
        }
        let is_listening = *listening.borrow_and_update();
        let pause = if is_listening { POLL_LISTENING } else { POLL };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // What came in between was told to nobody.
            _ = listening.changed() => {}
        }
    }
}

async fn listen(database: Database, heads: Heads) {
    let Some(pool) = database.postgres_pool() else {
        return;
    };
    loop {
        match forward(pool, &heads).await {
            Ok(()) => tracing::warn!("lost the log's notifications; polling"),
            Err(error) => {
                tracing::warn!(%error, "not listening to the log's notifications; polling");
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn forward(pool: &sqlx::PgPool, heads: &Heads) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    // Whoever calls this waits before it connects again.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    let listening = Listening::begin(&heads.listening);
    // None when the connection was lost.
    while let Some(notification) = listener.try_recv().await? {
        if let Ok(head) = notification.payload().parse() {
            heads.saw(head);
        }
    }
    drop(listening);
    Ok(())
}

/// Says that notifications come for as long as it lives.
struct Listening<'a>(&'a watch::Sender<bool>);

impl<'a> Listening<'a> {
    fn begin(listening: &'a watch::Sender<bool>) -> Self {
        listening.send_replace(true);
        Self(listening)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}
