//! Who left: what events tell of them is erased.

use async_trait::async_trait;
use contracts::{Payload, Recorded, events::UserDeleted};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, Log, Order};

use crate::accounts::SERVICE;

/// Erases the keys of users who were deleted, so that nobody reads their names in the log any more.
///
/// It acts outside its transaction, which is no harm: an erasure may be repeated, and what was deleted
/// does not come back.
pub struct Departures {
    log: Log,
}

impl Departures {
    /// Erases in this log.
    #[must_use]
    pub const fn new(log: Log) -> Self {
        Self { log }
    }
}

#[async_trait]
impl Handler for Departures {
    fn name(&self) -> &'static str {
        "departures"
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn types(&self) -> &'static [&'static str] {
        &[UserDeleted::TYPE]
    }

    fn order(&self) -> Order {
        Order::Unimportant
    }

    async fn handle(&self, _tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let UserDeleted { user_id } = recorded.event.payload()?;
        let subject = user_id.to_string();
        let reason = "the account was deleted";
        self.log.erase_personal(&subject, SERVICE, reason).await?;
        Ok(())
    }
}
