//! The duty that every service has: how far its consumers are, what is parked, and how its outbox
//! stands. It only reads; what is a finding is the maintenance service's to judge.

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
    consumers: Vec<Progress>,
}

impl Health {
    /// Reports on these consumers.
    pub(crate) fn new(log: Log, consumers: Vec<Progress>) -> Self {
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
        let reports = self.consumers.iter().map(|progress| {
            let name = progress.name();
            let row = stored.iter().find(|(consumer, _, _)| consumer == name);
            let (stored, is_paused) = row.map_or((0, false), |row| (row.1, row.2));
            // The row lags behind over foreign events; another replica may be ahead of this one.
            let position = stored.max(progress.position());
            let parked = parked.iter().find(|(consumer, _)| consumer == name);
            let state = match progress.state() {
                State::Refused(reason) => reason,
                _ if is_paused => "paused".to_owned(),
                _ => "running".to_owned(),
            };
            json!({
                "name": name,
                "position": position,
                "behind": (head - position).max(0),
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
