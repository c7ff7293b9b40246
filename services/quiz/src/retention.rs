//! What is removed here when the maintenance job `retention` runs.

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use database::Tx;
use event_store::HandlerError;
use sagas::Engine;
use serde_json::json;
use service::duties::{Ask, Duty, Portion};

use crate::store::{answers, keys, stats};

/// Rows of a kind removed in one transaction, so that no answer waits behind a long one.
const PORTION: i64 = 500;

/// Removes expired keys, sagas that ended long ago, and what came late of players who left: from
/// a replica of a version that did not know that they had.
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
        let strays = answers::expel(tx, PORTION).await?;
        for user_id in strays.iter().copied().collect::<BTreeSet<_>>() {
            self.engine.erase(tx, user_id).await?;
        }
        let expelled = [
            u64::try_from(strays.len()).unwrap_or(u64::MAX),
            keys::expel(tx, PORTION).await?,
            stats::expel(tx, PORTION).await?,
        ];
        let expired = keys::prune(tx, now, PORTION).await?;
        let ended = self.engine.prune(tx, now - self.keep, PORTION).await?;
        Ok(Portion {
            more: expelled
                .into_iter()
                .chain([expired, ended])
                .any(|removed| removed >= PORTION.unsigned_abs()),
            detail: json!({ "idempotencyKeys": expired, "sagas": ended }),
        })
    }
}
