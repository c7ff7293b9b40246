//! What is known of each flag: its history, and a kill that is not in the log yet.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Change, FlagState, Patch};
use crate::id::FlagId;

/// How many changes of a flag are kept in memory and in the state file. The log keeps all;
/// a plan of twenty steps fits several times.
pub const HISTORY_KEPT: usize = 200;

/// All ledgers by flag. Replaced as a whole, so that readers never wait.
pub(super) type Ledgers = BTreeMap<FlagId, Arc<Ledger>>;

/// Who changes a flag, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What the change is based on, where it is made on evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
}

/// A flag's newest changes, oldest first, and a kill that is not among them yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ledger {
    history: VecDeque<Arc<Change>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending_kill: Option<Note>,
}

impl Note {
    /// A note without evidence.
    pub fn new(actor: impl Into<String>, reason: impl Into<String>, at: OffsetDateTime) -> Self {
        Self {
            actor: actor.into(),
            reason: reason.into(),
            at,
            evidence: None,
        }
    }

    /// The record of the change that this note goes with.
    #[must_use]
    pub(super) fn change(self, before: Option<&FlagState>, after: FlagState) -> Change {
        Change {
            version: after.version,
            at: self.at,
            actor: self.actor,
            reason: self.reason,
            before: before.cloned(),
            after,
            evidence: self.evidence,
        }
    }
}

impl Ledger {
    /// The state that the newest change made; absent before the first.
    pub(super) fn recorded(&self) -> Option<&FlagState> {
        self.history.back().map(|change| &change.after)
    }

    /// The newest version, 0 before the first change.
    pub(super) fn version(&self) -> u64 {
        self.recorded().map_or(0, |state| state.version)
    }

    /// The state that decides: the recorded one, killed while a kill waits to be recorded.
    pub(super) fn effective(&self) -> Option<FlagState> {
        let mut state = self.recorded()?.clone();
        state.killed |= self.pending_kill.is_some();
        Some(state)
    }

    pub(super) fn history(&self) -> impl DoubleEndedIterator<Item = &Arc<Change>> {
        self.history.iter()
    }

    pub(super) fn pending_kill(&self) -> Option<&Note> {
        self.pending_kill.as_ref()
    }

    pub(super) fn with_pending_kill(&self, note: Option<Note>) -> Self {
        Self {
            history: self.history.clone(),
            pending_kill: note,
        }
    }

    /// Adds the next change. One that is known already changes nothing, so that a replica that
    /// reads its own change back from the log does no harm. A kill that was waiting has been
    /// recorded when the change kills.
    pub(super) fn with(&self, change: Change) -> Self {
        let mut next = self.clone();
        if change.version <= self.version() {
            return next;
        }
        next.history.push_back(Arc::new(change));
        while next.history.len() > HISTORY_KEPT {
            next.history.pop_front();
        }
        next
    }

    /// The record that puts the waiting kill on top of the newest state; absent when none waits or
    /// the flag is killed anyway (the most legacy state wins).
    pub(super) fn merging_kill(&self) -> Option<Change> {
        let state = self.recorded()?;
        let note = self.pending_kill.clone()?;
        (!state.killed).then(|| note.change(Some(state), Patch::kill().apply(state)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flag::Settings;

    fn note(reason: &str) -> Note {
        Note::new("ann", reason, OffsetDateTime::UNIX_EPOCH)
    }

    fn ledger() -> Ledger {
        let state = FlagState::declared("f".parse().unwrap(), Settings::new("f"));
        Ledger::default().with(note("declared").change(None, state))
    }

    #[test]
    fn a_waiting_kill_decides_before_it_is_recorded() {
        let ledger = ledger().with_pending_kill(Some(note("bad")));
        assert!(ledger.effective().unwrap().killed);
        assert!(!ledger.recorded().unwrap().killed);
        let kill = ledger.merging_kill().unwrap();
        assert_eq!((kill.version, kill.reason.as_str()), (2, "bad"));
        assert!(
            ledger.with(kill).merging_kill().is_none(),
            "recorded once only"
        );
    }

    #[test]
    fn a_change_that_is_read_back_is_not_added_twice() {
        let ledger = ledger();
        let again = ledger.with(ledger.history().next().map(|it| (**it).clone()).unwrap());
        assert_eq!(again, ledger);
    }

    #[test]
    fn old_changes_fall_out_of_memory_and_versions_go_on() {
        let mut ledger = ledger();
        for _ in 0..HISTORY_KEPT + 5 {
            let state = ledger.recorded().unwrap();
            let after = Patch::default().apply(state);
            ledger = ledger.with(note("again").change(Some(state), after));
        }
        assert_eq!(ledger.history().count(), HISTORY_KEPT);
        assert_eq!(ledger.version(), HISTORY_KEPT as u64 + 6);
    }
}
