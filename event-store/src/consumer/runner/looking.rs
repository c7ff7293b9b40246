//! What the checkpoint says, held against the log.

use std::time::Duration;

use database::Error;
use uuid::Uuid;

use super::{PAUSED_POLL, Runner};
use crate::consumer::{State, checkpoint, parking};

/// What the checkpoint allows.
pub(super) enum Looked {
    Run,
    Wait(Duration),
}

impl Runner {
    /// Reads the checkpoint and judges it against the log.
    pub(super) async fn look(&mut self) -> Result<Looked, Error> {
        self.control.borrow_and_update();
        let is_active = *self.active.borrow_and_update();
        let mut head = self.log.head().await?;
        let found = checkpoint::of(&self.database, &self.reader, head.epoch).await?;
        let Some(checkpoint) = found else {
            // No second copy is being built; the next one begins anew.
            self.arrive(0, 0);
            self.reader.reporter.is(State::Stopped);
            return Ok(Looked::Wait(self.options.idle));
        };
        if refusal(checkpoint.epoch, checkpoint.position, &head).is_some() {
            // Another replica may have gone on between the two looks.
            head = self.log.head().await?;
        }
        if let Some(reason) = refusal(checkpoint.epoch, checkpoint.position, &head) {
            if !self.reader.reporter.refused() {
                tracing::error!(consumer = self.reader.name(), reason, "the log is refused");
            }
            self.reader.reporter.is(State::Refused(reason));
            return Ok(Looked::Wait(self.options.idle));
        }
        if checkpoint.epoch != self.epoch || checkpoint.position < self.stored {
            self.position = checkpoint.position;
        }
        self.epoch = checkpoint.epoch;
        self.stored = checkpoint.position;
        self.position = self.position.max(self.stored);
        self.feed.start(self.epoch);
        self.may_be_parked = parking::any(&self.database, self.reader.name()).await?;
        self.database_failures = 0;
        let state = match (checkpoint.paused, is_active) {
            (true, _) => State::Paused,
            (false, true) => State::Running,
            (false, false) => State::Standby,
        };
        self.reader.reporter.is(state);
        self.arrive(self.stored, self.position);
        Ok(if checkpoint.paused {
            Looked::Wait(PAUSED_POLL)
        } else {
            Looked::Run
        })
    }
}

/// Why a checkpoint does not fit the log, if it does not.
fn refusal(epoch: Uuid, position: i64, head: &crate::Head) -> Option<String> {
    if epoch != head.epoch {
        let now = head.epoch;
        return Some(format!(
            "the checkpoint belongs to log {epoch}, but this is log {now}: it was replaced or \
             restored from a backup, and positions do not compare"
        ));
    }
    (position > head.position).then(|| {
        format!(
            "the checkpoint is at {position}, beyond the log's head {}: the log has lost events",
            head.position
        )
    })
}
