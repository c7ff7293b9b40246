//! One transaction: the claim, the handler, the parking of what must wait.

use std::{collections::HashSet, panic::AssertUnwindSafe, time::Duration};

use contracts::Recorded;
use database::{Database, Error, Tx};
use faults::{Mutation, Write};
use futures::FutureExt;

use super::{
    Fault, Handler, HandlerError, Order, Reader,
    checkpoint::{Claim, Place, claim},
    parking,
};
use crate::personal::{Keys, PersonalError};

/// How long a handler may take for one transaction: far above any work on a local database, below
/// a supervisor's patience.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Committed; the checkpoint is at the attempt's end.
    Done,
    /// Another replica moved the checkpoint, or an operator paused the consumer.
    Lost,
    /// The handler refused; nothing happened.
    Refused(HandlerError),
}

/// Where a consumer stands, as far as an attempt needs it.
pub(super) struct Standing<'a> {
    pub(super) database: &'a Database,
    pub(super) reader: &'a Reader,
    /// What personal fields are opened with.
    pub(super) keys: &'a Keys,
    /// The checkpoint as it lies in the database, and its edition.
    pub(super) from: (Place, i64),
    /// Whether some stream had parked events when the consumer last looked. Nobody parks without
    /// moving the checkpoint, so an older look that said no is still right when the claim is won.
    pub(super) may_be_parked: bool,
}

impl Standing<'_> {
    /// Handles `events` and moves the checkpoint to `to`, in one transaction. A crash at any point
    /// leaves both or neither.
    pub(super) async fn handle(&self, events: &[&Recorded], to: i64) -> Result<Attempt, Error> {
        // Before the transaction: the keys may lie in another database.
        let opened = match self.keys.opened(events).await {
            Ok(opened) => opened,
            Err(PersonalError::Database(error)) => return Err(error),
            Err(error) => return Ok(Attempt::Refused(error.into())),
        };
        let mut tx = self.database.begin().await?;
        let name = self.reader.name();
        let claims_later = faults::is_on(Mutation::CheckpointAfterCommit);
        if !claims_later && claim(&mut tx, name, self.from, to).await? == Claim::Lost {
            return Ok(Attempt::Lost);
        }
        let parked = if self.may_be_parked && self.reader.handler.order() == Order::ByStream {
            parking::streams(&mut tx, name).await?
        } else {
            HashSet::new()
        };
        let waits = |event: &&Recorded| parked.contains(&event.event.stream);
        let (behind, free): (Vec<&Recorded>, Vec<&Recorded>) =
            events.iter().copied().partition(waits);
        for event in behind {
            parking::park_behind(&mut tx, name, event).await?;
        }
        let free: Vec<&Recorded> = free.into_iter().map(|event| opened.of(event)).collect();
        if let Err(error) = call(&*self.reader.handler, &mut tx, &free).await {
            tx.rollback().await?;
            return Ok(Attempt::Refused(error));
        }
        faults::before(Write::ConsumerHandle);
        let committed = tx.commit().await;
        faults::after(Write::ConsumerHandle);
        match committed {
            Ok(()) if claims_later => self.pass(to).await,
            Ok(()) => Ok(Attempt::Done),
            // A deferred constraint, or a statement whose error the handler swallowed: the
            // transaction is gone for certain.
            Err(error) if !error.is_transient() => Ok(Attempt::Refused(error.into())),
            Err(error) => Err(error),
        }
    }

    /// Sets `event` aside with its error, and moves the checkpoint past it.
    pub(super) async fn park(
        &self,
        event: &Recorded,
        error: &HandlerError,
        attempts: u32,
    ) -> Result<Attempt, Error> {
        let mut tx = self.database.begin().await?;
        let name = self.reader.name();
        if claim(&mut tx, name, self.from, event.position).await? == Claim::Lost {
            return Ok(Attempt::Lost);
        }
        parking::park(&mut tx, name, event, &error.to_string(), attempts).await?;
        faults::before(Write::ConsumerPark);
        tx.commit().await?;
        faults::after(Write::ConsumerPark);
        Ok(Attempt::Done)
    }

    /// Moves the checkpoint over events that the consumer does not want.
    pub(super) async fn pass(&self, to: i64) -> Result<Attempt, Error> {
        let mut tx = self.database.begin().await?;
        match claim(&mut tx, self.reader.name(), self.from, to).await? {
            Claim::Lost => Ok(Attempt::Lost),
            Claim::Won => {
                faults::before(Write::ConsumerPass);
                tx.commit().await?;
                faults::after(Write::ConsumerPass);
                Ok(Attempt::Done)
            }
        }
    }
}

/// Calls the handler, bounded in time, with panics caught: a bug in a handler parks an event, it
/// does not end the consumer. A single event's trace context is the caller's to make current.
pub(super) async fn call(
    handler: &dyn Handler,
    tx: &mut Tx,
    events: &[&Recorded],
) -> Result<(), HandlerError> {
    let work = async {
        match events {
            [] => Ok(()),
            [event] => handler.handle(tx, event).await,
            many => handler.handle_batch(tx, many).await,
        }
    };
    match tokio::time::timeout(HANDLER_TIMEOUT, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(HandlerError::unclear(format!(
            "panicked: {}",
            text_of(&*panic)
        ))),
        Err(_) => Err(HandlerError::unclear(format!(
            "took longer than {HANDLER_TIMEOUT:?}"
        ))),
    }
}

/// Tries of the event that troubles a consumer at the moment.
#[derive(Default)]
pub(super) struct Trouble {
    position: i64,
    attempts: u32,
}

/// What to do after a handler refused one event.
pub(super) enum Next {
    /// Try again after the pause.
    Retry(Duration),
    /// Set it aside; so often it was tried.
    Park(u32),
}

impl Trouble {
    /// Counts one more failure at `position`.
    pub(super) fn after(
        &mut self,
        position: i64,
        fault: Fault,
        options: &super::ConsumerOptions,
    ) -> Next {
        if self.position != position {
            *self = Self {
                position,
                attempts: 0,
            };
        }
        self.attempts = self.attempts.saturating_add(1);
        let may_retry = match fault {
            Fault::Transient => true,
            Fault::Unclear => self.attempts < options.max_attempts,
            Fault::Poison => false,
        };
        if may_retry {
            let doubled = options
                .backoff
                .saturating_mul(1 << (self.attempts - 1).min(16));
            Next::Retry(doubled.min(options.max_backoff))
        } else {
            Next::Park(self.attempts)
        }
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unclear_errors_park_after_the_bound_and_transient_ones_never() {
        let options = super::super::ConsumerOptions::default();
        let mut trouble = Trouble::default();
        for _ in 1..options.max_attempts {
            assert!(matches!(
                trouble.after(7, Fault::Unclear, &options),
                Next::Retry(_)
            ));
        }
        assert!(matches!(
            trouble.after(7, Fault::Unclear, &options),
            Next::Park(5)
        ));
        let mut trouble = Trouble::default();
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            let Next::Retry(pause) = trouble.after(8, Fault::Transient, &options) else {
                panic!("a transient error parked");
            };
            assert!(pause >= last && pause <= options.max_backoff);
            last = pause;
        }
        assert!(matches!(
            trouble.after(9, Fault::Poison, &options),
            Next::Park(1)
        ));
    }
}
