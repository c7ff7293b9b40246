//! The duty that every service has: how far its consumers are, what is parked, and how its outbox
//! stands. It only reads; what is a finding is the maintenance service's to judge.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use database::{Timestamp, Tx, params};
use event_store::{
    HandlerError, Log,
    consumer::{Progress, State},
};
use serde_json::{Value, json};

use super::{Ask, Duty, Portion};

/// A service's own health, as far as its tables tell.
pub(crate) struct Health {
    log: Log,
    consumers: Running,
}

/// The consumers of the service, once all of them are added: the one that this duty is part of is
/// the last.
pub(crate) type Running = Arc<OnceLock<Vec<Progress>>>;

impl Health {
    /// Reports on these consumers.
    pub(crate) fn new(log: Log, consumers: Running) -> Self {
        Self { log, consumers }
    }

    async fn consumers(&self, tx: &mut Tx, head: i64) -> Result<Vec<Value>, HandlerError> {
        let stored: Vec<(String, i64, bool)> = tx
            .fetch_all(
                "SELECT consumer, position, paused FROM consumer_checkpoints",
                params![],
            )
            .await?;
        let parked: Vec<(String, i64)> = tx
            .fetch_all(
                "SELECT consumer, COUNT(*) FROM parked_events GROUP BY consumer",
                params![],
            )
            .await?;
        let running = self.consumers.get().map(Vec::as_slice).unwrap_or_default();
        let mut names: Vec<&str> = running.iter().map(Progress::name).collect();
        names.extend(stored.iter().map(|(consumer, _, _)| consumer.as_str()));
        names.extend(parked.iter().map(|(consumer, _)| consumer.as_str()));
        names.sort_unstable();
        names.dedup();
        let reports = names.into_iter().map(|name| {
            let row = stored.iter().find(|(consumer, _, _)| consumer == name);
            let (stored, is_paused) = row.map_or((0, false), |row| (row.1, row.2));
            let parked = parked.iter().find(|(consumer, _)| consumer == name);
            let progress = running.iter().find(|progress| progress.name() == name);
            // The row lags behind over foreign events; another replica may be ahead of this one.
            let position = stored.max(progress.map_or(0, Progress::position));
            let state = match progress.map(Progress::state) {
                Some(State::Refused(reason)) => reason,
                // A consumer of an older version; it will not go on, but what it parked is there.
                None => "retired".to_owned(),
                _ if is_paused => "paused".to_owned(),
                _ => "running".to_owned(),
            };
            let behind = progress.map_or(0, |_| (head - position).max(0));
            json!({
                "name": name,
                "position": position,
                "behind": behind,
                "parked": parked.map_or(0, |(_, count)| *count),
                "state": state,
            })
        });
        Ok(reports.collect())
    }
}

#[async_trait]
impl Duty for Health {
    fn job(&self) -> &'static str {
        "health"
    }

    async fn perform(&self, tx: &mut Tx, _ask: &Ask) -> Result<Portion, HandlerError> {
        let head = *self.log.appended().borrow();
        let consumers = self.consumers(tx, head).await?;
        let (unsent, oldest): (i64, Option<Timestamp>) = tx
            .fetch_one(
                "SELECT COUNT(*), MIN(written_at) FROM outbox WHERE sent_position IS NULL",
                params![],
            )
            .await?;
        let (refused,): (i64,) = tx
            .fetch_one(
                "SELECT COUNT(DISTINCT stream) FROM outbox WHERE error IS NOT NULL",
                params![],
            )
            .await?;
        let now = tx.now().await?;
        let oldest = oldest.map(|oldest| now.since(oldest).as_secs());
        let detail = json!({
            "head": head,
            "consumers": consumers,
            "outbox": { "unsent": unsent, "oldestSeconds": oldest, "refusedStreams": refused },
        });
        Ok(Portion {
            more: false,
            detail,
        })
    }
}
