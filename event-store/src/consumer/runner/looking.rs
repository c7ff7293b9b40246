//! What the checkpoint says, held against the log.

use std::time::Duration;

use database::Error;
use uuid::Uuid;

use super::{PAUSED_POLL, Runner};
use crate::consumer::{
    State,
    checkpoint::{self, Found},
    parking,
    split::{Before, Change, Elsewhere},
    standby::LOOK_AGAIN,
};

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
        let found = checkpoint::of(&self.database, &self.reader, head.epoch, self.change).await?;
        let checkpoint = match found {
            Found::At(checkpoint) => checkpoint,
            Found::NotBuilt => {
                // No second copy is being built; the next one begins anew.
                self.arrive(0, 0);
                self.reader.reporter.is(State::Stopped);
                return Ok(Looked::Wait(self.options.idle));
            }
            Found::Elsewhere(elsewhere) => return self.follow_others(elsewhere, &head).await,
            Found::Gone(reason) => return Ok(self.refuse(reason)),
        };
        if self.change == Change::Now {
            // The newest start has decided; a later one may again.
            self.change = Change::Never;
        }
        if refusal(checkpoint.epoch, checkpoint.position, &head).is_some() {
            // Another replica may have gone on between the two looks.
            head = self.log.head().await?;
        }
        if let Some(reason) = refusal(checkpoint.epoch, checkpoint.position, &head) {
            return Ok(self.refuse(reason));
        }
        if checkpoint.edition > 0 {
            let (consumer, at) = (self.reader.consumer(), checkpoint.position);
            self.before = Before::above(&self.database, consumer, at).await?;
        }
        let is_other = (checkpoint.epoch, checkpoint.edition) != (self.epoch, self.edition);
        if is_other || checkpoint.position < self.stored {
            self.position = checkpoint.position;
        }
        self.edition = checkpoint.edition;
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

    fn refuse(&self, reason: String) -> Looked {
        if !self.reader.reporter.refused() {
            tracing::error!(consumer = self.reader.name(), reason, "the log is refused");
        }
        self.reader.reporter.is(State::Refused(reason));
        Looked::Wait(self.options.idle)
    }

    /// Handles nothing, and knows how far those are that do.
    async fn follow_others(
        &mut self,
        elsewhere: Elsewhere,
        head: &crate::Head,
    ) -> Result<Looked, Error> {
        let Elsewhere { reason, lowest } = elsewhere;
        if !self.reader.reporter.waits() {
            tracing::warn!(consumer = self.reader.name(), reason, "it stands still");
        }
        self.reader.reporter.is(State::Waiting(reason));
        let lowest = lowest.filter(|(epoch, _)| *epoch == head.epoch);
        if let Some((epoch, position)) = lowest
            && (epoch, position) != (self.epoch, self.position)
        {
            self.epoch = epoch;
            self.arrive(position, position);
            self.tell_others().await?;
        }
        Ok(Looked::Wait(LOOK_AGAIN))
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
