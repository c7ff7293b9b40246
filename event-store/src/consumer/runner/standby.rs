//! What a runner does while another replica is the active one: it reads along, so that it knows how
//! far the consumer is and goes on at once when it has to.

use std::time::Duration;

use database::Error;

use super::{Interrupted, Runner};
use crate::consumer::checkpoint;

/// How soon it looks whether the active replica has committed what both have read: somewhat longer
/// than a transaction takes. The pause doubles up to [`LATER`].
const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_millis(80);

impl Runner {
    pub(super) fn stands_by(&self) -> bool {
        !*self.active.borrow()
    }

    /// Waits until the active replica has handled the event at `needed`; after it there is nothing
    /// for this consumer up to `to`.
    pub(super) async fn attend(
        &mut self,
        needed: i64,
        to: i64,
    ) -> Result<Option<Interrupted>, Error> {
        let mut pause = SOON;
        loop {
            let found = checkpoint::find(&self.database, self.reader.name()).await?;
            let Some(now) = found else {
                return Ok(Some(Interrupted::LookAgain));
            };
            if now.position < self.stored
                || now.paused
                || now.epoch != self.epoch
                || now.edition != self.edition
            {
                return Ok(Some(Interrupted::LookAgain));
            }
            if now.position > self.stored {
                self.arrive(now.position, self.position.max(now.position));
                self.tell_others().await?;
                pause = SOON;
            }
            if now.position >= needed {
                self.arrive(now.position, self.position.max(to));
                return Ok(None);
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(Some(Interrupted::ShutDown)),
                _ = self.control.changed() => return Ok(Some(Interrupted::LookAgain)),
                _ = self.active.changed() => return Ok(Some(Interrupted::LookAgain)),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LATER);
        }
    }

    /// Raises what the handler would have raised here.
    pub(super) async fn tell_others(&mut self) -> Result<(), Error> {
        let signals = self.reader.handler.signals();
        if signals.is_empty() {
            return Ok(());
        }
        let mut tx = self.database.begin().await?;
        for signal in signals {
            tx.signal(signal);
        }
        tx.commit().await
    }
}
