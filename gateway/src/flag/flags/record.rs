//! Recording: the one place where a change is committed, and then shown.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::timeout;

use super::{Backing, ChangeError, Flags};
use crate::{
    flag::{
        Change,
        journal::{Cursor, Entry, JOURNAL_TIMEOUT, JournalError},
        ledger::Ledger,
        state_file::StateFileError,
    },
    id::FlagId,
};

/// What became of one attempt to record.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("somebody else was first")]
    Conflict,
    #[error(transparent)]
    Failed(#[from] ChangeError),
}

impl Flags {
    /// Records a kill that waits, where the flag is not killed anyway.
    pub(super) async fn merge_kill(
        &self,
        cursor: &mut Cursor,
        id: &FlagId,
    ) -> Result<(), RecordError> {
        let ledger = self.ledger(id);
        if ledger.pending_kill().is_none() {
            return Ok(());
        }
        // It waits on until the flag's state is known.
        if ledger.recorded().is_none() {
            return Ok(());
        }
        if let Some(kill) = ledger.merging_kill() {
            self.record(cursor, id, kill).await?;
        }
        self.update(id, |ledger| ledger.with_pending_kill(None));
        self.save_snapshot().await;
        Ok(())
    }

    /// Commits one change where flag states are kept, and then shows it.
    pub(super) async fn record(
        &self,
        cursor: &mut Cursor,
        id: &FlagId,
        change: Change,
    ) -> Result<(), RecordError> {
        match &self.0.backing {
            Backing::Memory => self.update(id, |ledger| ledger.with(change.clone())),
            Backing::File(file) => {
                let mut ledgers = self.0.ledgers.load_full();
                let ledger = Arc::new(self.ledger(id).with(change.clone()));
                Arc::make_mut(&mut ledgers).insert(id.clone(), ledger);
                file.save(|| ledgers).await?;
                self.update(id, |ledger| ledger.with(change.clone()));
            }
            Backing::Log(journal, _) => {
                let entry = Entry::Flag(id.clone(), Box::new(change.clone()));
                match timeout(JOURNAL_TIMEOUT, journal.append(&entry)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(JournalError::Conflict | JournalError::AnotherLog)) => {
                        self.read_on(cursor, &**journal).await?;
                        return Err(RecordError::Conflict);
                    }
                    Ok(Err(JournalError::Refused(reason))) => {
                        return Err(RecordError::Failed(ChangeError::Refused(reason)));
                    }
                    Ok(Err(error @ JournalError::Unavailable(_))) => {
                        return Err(self.lost(error.to_string()));
                    }
                    Err(_) => return Err(self.lost(no_answer())),
                }
                self.0.reachable.store(true, Ordering::Release);
                self.update(id, |ledger| ledger.with(change.clone()));
                self.save_snapshot().await;
            }
        }
        let (version, actor, reason) = (change.version, &change.actor, &change.reason);
        tracing::info!(flag = %id, version, actor, reason, "flag changed");
        Ok(())
    }

    /// Replaces a flag's ledger and shows its state.
    pub(super) fn update(&self, id: &FlagId, update: impl Fn(&Ledger) -> Ledger) {
        self.0.ledgers.rcu(|ledgers| {
            let mut next = (**ledgers).clone();
            let ledger = next.entry(id.clone()).or_default();
            *ledger = Arc::new(update(ledger));
            next
        });
        self.show(id);
    }

    /// The cell is set from whatever the ledger holds at the end, so that two updates at once never
    /// leave the older one on show.
    pub(super) fn show(&self, id: &FlagId) {
        let cells = self.0.cells.load();
        let Some(cell) = cells.get(id) else { return };
        loop {
            let ledger = self.ledger(id);
            if let Some(state) = ledger.effective() {
                cell.set(state);
            }
            if *self.ledger(id) == *ledger {
                return;
            }
        }
    }

    pub(super) fn ledger(&self, id: &FlagId) -> Arc<Ledger> {
        self.0.ledgers.load().get(id).cloned().unwrap_or_default()
    }

    /// Beside the log the file is a snapshot: failing to write it is reported, not fatal.
    pub(super) async fn save_snapshot(&self) {
        let (Backing::Log(_, Some(file)) | Backing::File(file)) = &self.0.backing else {
            return;
        };
        let result = file.save(|| self.0.ledgers.load_full()).await;
        if let Err(error) = &result {
            tracing::error!(%error, "the state file is behind");
        }
        self.0.saved.store(result.is_ok(), Ordering::Release);
    }

    /// Takes note that the log does not answer; the text says so and why.
    pub(super) fn lost(&self, fault: String) -> RecordError {
        self.0.reachable.store(false, Ordering::Release);
        self.0.log_fault.store(Some(Arc::new(fault.clone())));
        RecordError::Failed(ChangeError::LogUnavailable(fault))
    }
}

impl From<StateFileError> for RecordError {
    fn from(error: StateFileError) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) fn no_answer() -> String {
    format!("the log is not available: no answer within {JOURNAL_TIMEOUT:?}")
}
