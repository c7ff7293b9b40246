//! What this service does when a maintenance job runs.

use async_trait::async_trait;
use database::Tx;
use event_store::HandlerError;
use serde_json::json;
use service::duties::{Ask, Duty, Portion};

use crate::store::draws;

/// Rows of one portion: some milliseconds.
const PORTION: i64 = 1_000;

/// Forgets old draws.
#[derive(Clone, Copy, Debug)]
pub struct Retention;

#[async_trait]
impl Duty for Retention {
    fn job(&self) -> &'static str {
        "retention"
    }

    async fn perform(&self, tx: &mut Tx, _ask: &Ask) -> Result<Portion, HandlerError> {
        let removed = draws::prune(tx, PORTION).await?;
        Ok(Portion {
            more: i64::try_from(removed).is_ok_and(|removed| removed == PORTION),
            detail: json!({ "draws": removed }),
        })
    }
}
