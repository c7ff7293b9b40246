//! What is removed here when the maintenance job `retention` runs: boards of days and weeks long
//! past, and what is known of answers whose sagas ended long ago.

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use contracts::{Period, QuizMode};
use database::{Result, Tx, params};
use event_store::HandlerError;
use sagas::participant::Ledger;
use serde_json::json;
use service::duties::{Ask, Duty, Portion};
use time::OffsetDateTime;

use crate::{
    answers::STEP,
    domain::Board,
    store::{self, tree},
};

/// Days that a day's board is kept.
const DAYS_KEPT: u32 = 35;

/// Days that a week's board is kept: ten weeks.
const WEEKS_KEPT: u32 = 70;

/// Lines of boards that one portion removes: some tens of milliseconds.
const LINES: i64 = 2_000;

/// Rows of the ledger that one portion removes, so that no answer waits behind a long one.
const ROWS: i64 = 500;

/// The duty.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    keep: Duration,
}

impl Retention {
    /// Keeps what answers did for so long.
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

    async fn perform(&self, tx: &mut Tx, _ask: &Ask) -> std::result::Result<Portion, HandlerError> {
        let now = tx.now().await?;
        let lines = remove_old(tx, now.into(), LINES).await?;
        let rows = Ledger.prune(tx, STEP, now - self.keep, ROWS).await?;
        Ok(Portion {
            more: lines >= LINES || rows >= ROWS.unsigned_abs(),
            detail: json!({ "boardLines": lines, "ledgerRows": rows }),
        })
    }
}

/// Removes up to `limit` lines of boards that are no longer kept; how many it removed.
///
/// # Errors
/// As the database says.
pub async fn remove_old(tx: &mut Tx, now: OffsetDateTime, limit: i64) -> Result<i64> {
    tx.write_deferred().await?;
    store::lock(tx).await?;
    let mut left = limit;
    for (period, kept) in [(Period::Day, DAYS_KEPT), (Period::Week, WEEKS_KEPT)] {
        let current = Board::at(QuizMode::Classic, period, now).begins;
        let first = Board::first_id(period, 0);
        let end = Board::first_id(period, current.saturating_sub(kept));
        while left > 0 {
            let oldest: Option<(i64,)> = tx
                .fetch_optional(
                    "SELECT board FROM standings WHERE board >= $1 AND board < $2
                     ORDER BY board LIMIT 1",
                    params![first, end],
                )
                .await?;
            let Some((board,)) = oldest else { break };
            // Without nodes the rest of the board is still right, should anybody read it.
            tree::clear(tx, board).await?;
            let removed = tx
                .execute(
                    "DELETE FROM standings WHERE (user_id, board) IN (
                         SELECT user_id, board FROM standings WHERE board = $1
                         ORDER BY rank_key LIMIT $2)",
                    params![board, left],
                )
                .await?;
            left -= i64::try_from(removed).unwrap_or(i64::MAX);
        }
    }
    Ok(limit - left)
}
