//! Consumers without a ledger: what is handled twice is counted twice.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Sql, Tx, params};
use event_store::{Handler, HandlerError, Kind, Order, consumer::Beside};

use crate::{
    beside::Second,
    order::{Fate, Placed},
    system::NARROW,
};

/// How often each consumer handled each event.
pub(crate) const TALLIES: Sql = Sql::by_dialect(
    "CREATE TABLE IF NOT EXISTS tallies (consumer TEXT, event_id UUID, times BIGINT,
     PRIMARY KEY (consumer, event_id))",
    "CREATE TABLE IF NOT EXISTS tallies (consumer TEXT, event_id BLOB, times INTEGER,
     PRIMARY KEY (consumer, event_id)) STRICT",
);

/// Counts events.
pub(crate) struct Tally {
    pub(crate) name: &'static str,
    pub(crate) types: &'static [&'static str],
    /// While it is set, placed orders of one fate cannot be handled and are parked.
    pub(crate) strict: Option<Arc<AtomicBool>>,
}

#[async_trait]
impl Handler for Tally {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn types(&self) -> &'static [&'static str] {
        self.types
    }

    fn order(&self) -> Order {
        Order::Unimportant
    }

    fn beside(&self) -> Option<Arc<dyn Beside>> {
        let second: Arc<dyn Beside> = Arc::new(Second(self.name));
        (self.name == NARROW).then_some(second)
    }

    async fn reset(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        let sql = "DELETE FROM tallies WHERE consumer = $1";
        tx.execute(sql, params![self.name]).await?;
        Ok(())
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        let is_strict = |strict: &Arc<AtomicBool>| strict.load(Ordering::Relaxed);
        if self.strict.as_ref().is_some_and(is_strict) && event.event.event_type == Placed::TYPE {
            let Placed { number } = event.event.payload()?;
            if Fate::of(number) == Fate::Refused {
                return Err(HandlerError::poison("not yet"));
            }
        }
        count(tx, self.name, event).await
    }
}

/// Counts an event once more.
pub(crate) async fn count(tx: &mut Tx, whose: &str, event: &Recorded) -> Result<(), HandlerError> {
    tx.execute(
        "INSERT INTO tallies (consumer, event_id, times) VALUES ($1, $2, 1)
         ON CONFLICT (consumer, event_id) DO UPDATE SET times = tallies.times + 1",
        params![whose, event.event.id],
    )
    .await?;
    Ok(())
}
