//! A flag's whole state, and the cell in which it is swapped.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Percent, Settings};
use crate::id::FlagId;

/// A flag's whole state: what was set, and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlagState {
    /// The flag's name.
    pub id: FlagId,
    /// What an operator sets.
    #[serde(flatten)]
    pub settings: Settings,
    /// Everybody goes to legacy until this is cleared.
    pub killed: bool,
    /// Contiguous from 1; counts the changes.
    pub version: u64,
}

/// In a word, how far a flag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Rolled back: everybody is on legacy until somebody clears it.
    Killed,
    /// Who is over stays, nobody new goes.
    Draining,
    /// 0 %.
    Legacy,
    /// Some on each side.
    Split,
    /// 100 %.
    Candidate,
}

/// Where the data plane reads a flag's state: never blocks, and is swapped as a whole.
#[derive(Debug)]
pub struct FlagCell {
    state: ArcSwap<FlagState>,
    changed: watch::Sender<()>,
}

impl FlagState {
    /// The first state of a flag, as its file declares it.
    #[must_use]
    pub fn declared(id: FlagId, settings: Settings) -> Self {
        Self {
            id,
            settings,
            killed: false,
            version: 1,
        }
    }

    /// How far the flag is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.settings.percent {
            _ if self.killed => Phase::Killed,
            _ if self.settings.drain => Phase::Draining,
            Percent::ZERO => Phase::Legacy,
            Percent::FULL => Phase::Candidate,
            _ => Phase::Split,
        }
    }
}

impl FlagCell {
    /// A cell with its first state.
    #[must_use]
    pub fn new(state: FlagState) -> Self {
        Self {
            state: ArcSwap::from_pointee(state),
            changed: watch::Sender::new(()),
        }
    }

    /// The state right now. Take it once for each request: a decision and its record must come
    /// from the same state.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<FlagState>> {
        self.state.load()
    }

    /// The state right now, to be kept.
    #[must_use]
    pub fn snapshot(&self) -> Arc<FlagState> {
        self.state.load_full()
    }

    /// Tells of each swap from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Swaps the state; for the flags' store alone.
    pub(crate) fn set(&self, state: FlagState) {
        self.state.store(Arc::new(state));
        self.changed.send_replace(());
    }
}
