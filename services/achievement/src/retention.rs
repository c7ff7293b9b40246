//! What is removed here when the maintenance job `retention` runs.

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use database::Tx;
use event_store::HandlerError;
use sagas::participant::Ledger;
use serde_json::json;
use service::duties::{Ask, Duty, Portion};

use crate::{answers::STEP, store};

/// Rows of a kind removed in one transaction, so that no answer waits behind a long one.
const PORTION: i64 = 500;

/// Removes what is known of answers whose sagas ended long ago, and what an import brought of
/// players while they left.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    keep: Duration,
}

impl Retention {
    /// Keeps what is younger than this.
    #[must_use]
    pub fn days(days: NonZeroU32) -> Self {
        let keep = Duration::from_secs(u64::from(days.get()) * 24 * 60 * 60);
        Self { keep }
    }
}

#[async_trait]
impl Duty for Retention {
    fn job(&self) -> &'static str {
        "retention"
    }

    async fn perform(&self, tx: &mut Tx, _ask: &Ask) -> Result<Portion, HandlerError> {
        let expelled = store::expel(tx, PORTION).await?;
        let before = tx.now().await? - self.keep;
        let removed = Ledger.prune(tx, STEP, before, PORTION).await?;
        Ok(Portion {
            more: removed.max(expelled) >= PORTION.unsigned_abs(),
            detail: json!({ "ledgerRows": removed }),
        })
    }
}
