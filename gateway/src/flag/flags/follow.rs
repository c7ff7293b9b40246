//! Following the log: what other gateways changed, and what could not be recorded yet.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chassis::{Shutdown, shutdown::Slept};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{
    Backing, FILE_ACTOR, Flags,
    record::{RecordError, no_answer},
};
use crate::{
    flag::{
        FlagState,
        journal::{Cursor, Entry, JOURNAL_TIMEOUT, Journal, JournalError, Page},
        ledger::{Ledger, Ledgers, Note},
    },
    id::FlagId,
};

/// How soon a gateway looks again for a log that does not answer, at first …
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// … and at most.
const LAST_RETRY: Duration = Duration::from_secs(1);

impl Flags {
    /// Follows the log until the shutdown. Without a log there is nobody to follow; what is left to
    /// do is to record the kills that the state file did not take.
    pub async fn follow(&self, now: impl Fn() -> OffsetDateTime, shutdown: Shutdown) {
        let Backing::Log(journal, _) = &self.0.backing else {
            return self.record_kills(&shutdown).await;
        };
        let mut pause = FIRST_RETRY;
        while !shutdown.is_cancelled() {
            let was_reachable = self.0.reachable.load(Ordering::Acquire);
            if self.synchronise().await {
                pause = FIRST_RETRY;
                if !was_reachable {
                    tracing::info!("the log answers again");
                }
                let note = Note::new(FILE_ACTOR, "declared in the configuration file", now());
                if let Err(error) = self.record_first_states(&note).await {
                    tracing::warn!(%error, "a flag is not declared yet");
                }
                self.record_routes().await;
                tokio::select! {
                    () = journal.changed() => {}
                    () = shutdown.cancelled() => {}
                }
            } else {
                shutdown.sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY);
            }
        }
    }

    async fn record_kills(&self, shutdown: &Shutdown) {
        while shutdown.sleep(LAST_RETRY).await == Slept::Whole {
            for id in self.waiting_kills() {
                let mut cursor = self.0.changing.lock().await;
                if let Err(error) = self.merge_kill(&mut cursor, &id).await {
                    tracing::warn!(flag = %id, %error, "a rollback is not recorded yet");
                }
            }
        }
    }

    /// Reads the log to its end and records the kills that wait. Says whether the log answered.
    pub(super) async fn synchronise(&self) -> bool {
        let Backing::Log(journal, _) = &self.0.backing else {
            return true;
        };
        let mut cursor = self.0.changing.lock().await;
        let before = self.0.ledgers.load_full();
        let was_reachable = self.0.reachable.load(Ordering::Acquire);
        if let Err(error) = self.read_on(&mut cursor, &**journal).await {
            // Once, not with every attempt; `degraded` goes on saying it.
            if was_reachable {
                tracing::warn!(%error, "flags stay as they are");
            }
            return false;
        }
        self.0.loaded.store(true, Ordering::Release);
        self.0.reachable.store(true, Ordering::Release);
        for id in self.waiting_kills() {
            match self.merge_kill(&mut cursor, &id).await {
                Ok(()) => tracing::info!(flag = %id, "a rollback that waited is recorded"),
                Err(error) => {
                    tracing::warn!(flag = %id, %error, "a rollback is not recorded yet");
                    return false;
                }
            }
        }
        // Nearly all that the log grows by says nothing of flags.
        let has_changed = !Arc::ptr_eq(&before, &self.0.ledgers.load_full());
        if has_changed || !self.0.saved.load(Ordering::Acquire) {
            self.save_snapshot().await;
        }
        true
    }

    /// Applies everything after the cursor. In another log than before, all is read anew.
    pub(super) async fn read_on(
        &self,
        cursor: &mut Cursor,
        journal: &dyn Journal,
    ) -> Result<(), RecordError> {
        loop {
            if *cursor == Cursor::default() {
                *cursor = self.rebuild(journal).await?;
                return Ok(());
            }
            match self.page(*cursor, journal).await {
                Ok(Page {
                    entries,
                    next,
                    is_last,
                }) => {
                    for entry in entries {
                        match entry {
                            Entry::Flag(id, change) => {
                                self.update(&id, |ledger| ledger.with((*change).clone()));
                            }
                            Entry::Route(change) => self.0.routes.apply(change),
                        }
                    }
                    *cursor = next;
                    if is_last {
                        return Ok(());
                    }
                }
                Err(RecordError::Conflict) => {
                    tracing::error!("the log is another one than before: reading all of it");
                    *cursor = Cursor::default();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads all of the log and takes over what it says. Nothing changes when it cannot be read to
    /// the end.
    async fn rebuild(&self, journal: &dyn Journal) -> Result<Cursor, RecordError> {
        let mut cursor = Cursor::default();
        let mut told = Ledgers::new();
        let mut routes = Vec::new();
        loop {
            let Page {
                entries,
                next,
                is_last,
            } = self.page(cursor, journal).await?;
            for entry in entries {
                match entry {
                    Entry::Flag(id, change) => {
                        let ledger = told.entry(id).or_default();
                        *ledger = Arc::new(ledger.with(*change));
                    }
                    Entry::Route(change) => routes.push(change),
                }
            }
            cursor = next;
            if is_last {
                break;
            }
        }
        self.carry_over(&mut told, journal).await?;
        self.0.routes.forget();
        routes
            .into_iter()
            .for_each(|change| self.0.routes.apply(change));
        self.0.ledgers.rcu(|known| merged(known, &told));
        let ids: Vec<FlagId> = self.cells().keys().cloned().collect();
        ids.iter().for_each(|id| self.show(id));
        Ok(cursor)
    }

    /// States that only the state file has go into the log: it was configured later.
    async fn carry_over(
        &self,
        told: &mut Ledgers,
        journal: &dyn Journal,
    ) -> Result<(), RecordError> {
        let known = self.0.ledgers.load_full();
        for (id, ledger) in known.iter() {
            let (Some(state), Some(last)) = (ledger.recorded(), ledger.history().next_back())
            else {
                continue;
            };
            if told.contains_key(id) {
                continue;
            }
            let first = FlagState {
                version: 1,
                ..state.clone()
            };
            let reason = "carried over from the state file";
            let change = Note::new(last.actor.clone(), reason, last.at).change(None, first);
            let entry = Entry::Flag(id.clone(), Box::new(change.clone()));
            match timeout(JOURNAL_TIMEOUT, journal.append(&entry)).await {
                Ok(Ok(())) => {
                    told.insert(id.clone(), Arc::new(Ledger::default().with(change)));
                }
                // Another gateway carried it over: it is read in a moment.
                Ok(Err(JournalError::Conflict | JournalError::AnotherLog)) => {}
                Ok(Err(error)) => return Err(self.lost(error.to_string())),
                Err(_) => return Err(self.lost(no_answer())),
            }
        }
        Ok(())
    }

    async fn page(&self, cursor: Cursor, journal: &dyn Journal) -> Result<Page, RecordError> {
        match timeout(JOURNAL_TIMEOUT, journal.read(cursor)).await {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(JournalError::AnotherLog)) if cursor != Cursor::default() => {
                Err(RecordError::Conflict)
            }
            Ok(Err(error)) => Err(self.lost(error.to_string())),
            Err(_) => Err(self.lost(no_answer())),
        }
    }

    fn waiting_kills(&self) -> Vec<FlagId> {
        let ledgers = self.0.ledgers.load();
        let waiting = |ledger: &Ledger| ledger.pending_kill().is_some() && ledger.version() > 0;
        ledgers
            .iter()
            .filter(|(_, it)| waiting(it))
            .map(|(id, _)| id.clone())
            .collect()
    }
}

/// What the log told, with the kills that it does not know of: those that wait, and those that a
/// log restored from a backup has lost (the most legacy state wins).
fn merged(known: &Ledgers, told: &Ledgers) -> Ledgers {
    let mut merged = told.clone();
    for (id, old) in known {
        let new = merged.get(id).cloned().unwrap_or_default();
        let lost_kill = || {
            let last = old.history().next_back()?;
            let was_lost = last.after.killed && last.version > new.version() && new.version() > 0;
            was_lost.then(|| Note::new(last.actor.clone(), last.reason.clone(), last.at))
        };
        let pending = old.pending_kill().cloned().or_else(lost_kill);
        if pending.is_some() {
            merged.insert(id.clone(), Arc::new(new.with_pending_kill(pending)));
        }
    }
    merged
}
