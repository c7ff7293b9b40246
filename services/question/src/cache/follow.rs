use std::time::Duration;

use chassis::Shutdown;
use database::Database;

use super::Cache;
use crate::store::revision;

/// How late this replica learns of a change that another one made: one small read each time. Of its
/// own changes it learns at once.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A look that takes longer hangs on a dead connection; the next one gets another.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells the cache each revision of the bank until the shutdown.
///
/// # Errors
/// Never; the type is that of a supervised task. Without its database, entries grow too old.
pub async fn follow(db: Database, cache: Cache, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut own = db.signal(revision::SIGNAL);
    let mut is_away = false;
    loop {
        own.borrow_and_update();
        match tokio::time::timeout(LOOK_TIMEOUT, revision::current(&db)).await {
            Ok(Ok(revision)) => {
                cache.saw(revision);
                is_away = false;
            }
            failed => {
                if !is_away {
                    tracing::warn!(?failed, "cannot read the bank's revision");
                }
                is_away = true;
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = own.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
