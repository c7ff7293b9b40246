//! What is removed here when the maintenance job `retention` runs.

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use database::Tx;
use event_store::HandlerError;
use sagas::Engine;
use serde_json::json;
use service::duties::{Ask, Duty, Portion};

use crate::store::{answers, keys, stats};

/// Rows of a kind removed in one transaction, so that no answer waits behind a long one.
const PORTION: i64 = 500;

/// Removes expired keys, sagas that ended long ago, and what came late of players who left: by an
/// import, or from a replica of a version that did not know that they had.
///
/// Answers stay: they are the player's history, and what an audit holds against the log. It does
/// not look at sagas.
#[derive(Clone)]
pub struct Retention {
    keep: Duration,
    engine: Engine,
}

impl Retention {
    /// Keeps sagas of `engine` that ended later than this.
    #[must_use]
    pub fn days(days: NonZeroU32, engine: Engine) -> Self {
        let keep = Duration::from_secs(u64::from(days.get()) * 24 * 60 * 60);
        Self { keep, engine }
    }
}

#[async_trait]
impl Duty for Retention {
    fn job(&self) -> &'static str {
        "retention"
    }

    async fn perform(&self, tx: &mut Tx, _ask: &Ask) -> Result<Portion, HandlerError> {
        let now = tx.now().await?;
        for user_id in answers::expel(tx).await? {
            self.engine.erase(tx, user_id).await?;
        }
        keys::expel(tx).await?;
        stats::expel(tx).await?;
        let expired = keys::prune(tx, now, PORTION).await?;
        let ended = self.engine.prune(tx, now - self.keep, PORTION).await?;
        Ok(Portion {
            more: expired.max(ended) >= PORTION.unsigned_abs(),
            detail: json!({ "idempotencyKeys": expired, "sagas": ended }),
        })
    }
}
