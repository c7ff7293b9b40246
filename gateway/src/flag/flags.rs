//! All flags of a gateway: the cells that the data plane reads, and the changes that write them.
//!
//! Invariants:
//! - A flag's versions are contiguous, and each has its entry in the history.
//! - What a cell shows has been committed where flag states are kept (the log, else the state
//!   file), with one exception: a kill shows at once and is recorded as soon as that can be.
//! - One change is under way at a time; readers never wait for it.

mod change;
mod follow;
mod record;
mod routes;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Mutex;

use super::{
    Change, FlagCell, FlagState, InvalidSetting, Settings, StateFile,
    journal::{Cursor, Journal},
    ledger::{Ledgers, Note},
    state_file::StateFileError,
};
use crate::{id::FlagId, table::Cells};
use routes::Routes;

/// Who declares flags and edits them in the file.
pub const FILE_ACTOR: &str = "file";

/// All flags of a gateway. Clones are the same.
#[derive(Debug, Clone)]
pub struct Flags(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cells: ArcSwap<Cells>,
    ledgers: ArcSwap<Ledgers>,
    backing: Backing,
    /// Whoever changes something holds this; it is the place in the log up to which was read.
    changing: Mutex<Cursor>,
    /// The routes' declarations, here and in the log.
    routes: Routes,
    /// Whether the states are known; until then everybody stays on legacy.
    loaded: AtomicBool,
    /// Whether the log answered last time, and why not.
    reachable: AtomicBool,
    log_fault: ArcSwapOption<String>,
    /// Whether the state file took the newest states.
    saved: AtomicBool,
}

/// Where flag states are kept.
#[derive(Debug)]
pub enum Backing {
    /// Nowhere: a restart begins with what the file declares.
    Memory,
    /// In a file.
    File(StateFile),
    /// In the log; the file is a snapshot for when the log is down.
    Log(Arc<dyn Journal>, Option<StateFile>),
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The state that decides now.
    pub state: FlagState,
    /// How far it got.
    pub outcome: Outcome,
}

/// How far a change got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is recorded.
    Recorded,
    /// The flag was that way already: nothing was recorded.
    Unchanged,
    /// A kill that works here and is recorded as soon as the log answers.
    Pending,
}

/// Why a flag was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such flag.
    #[error("there is no flag `{0}`")]
    UnknownFlag(String),
    /// There is no such version, or it is older than what is kept.
    #[error("version {0} is not in the flag's history")]
    UnknownVersion(u64),
    /// The caller looked at an older version.
    #[error("the flag has version {current} by now")]
    Stale {
        /// The version that it has.
        current: u64,
    },
    /// The state would be outside its bounds.
    #[error(transparent)]
    Invalid(#[from] InvalidSetting),
    /// The log does not take it; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The log does not answer; nothing was changed, or it shows as soon as the log does.
    #[error("{0}; only a rollback works without it")]
    LogUnavailable(String),
    /// The state file cannot be written; nothing was changed.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
}

impl Flags {
    /// Loads the states and declares the flags that have none yet. A log that does not answer is
    /// no error: then the snapshot holds, and without one everybody stays on legacy until
    /// [`Flags::follow`] reaches the log ([`Flags::readiness`] says so).
    ///
    /// # Errors
    /// A state file that cannot be used.
    pub async fn open(
        declared: &BTreeMap<FlagId, Settings>,
        backing: Backing,
        note: &Note,
    ) -> Result<Self, StateFileError> {
        let snapshot = match &backing {
            Backing::File(file) | Backing::Log(_, Some(file)) => file.load().await?,
            Backing::Memory | Backing::Log(_, None) => None,
        };
        let is_log = matches!(backing, Backing::Log(..));
        let flags = Self(Arc::new(Inner {
            cells: ArcSwap::default(),
            loaded: AtomicBool::new(!is_log || snapshot.is_some()),
            ledgers: ArcSwap::from_pointee(snapshot.unwrap_or_default()),
            backing,
            changing: Mutex::default(),
            routes: Routes::default(),
            reachable: AtomicBool::new(!is_log),
            log_fault: ArcSwapOption::empty(),
            saved: AtomicBool::new(true),
        }));
        if is_log && !flags.synchronise().await {
            tracing::warn!(reason = flags.log_fault(), "started without the log");
        }
        match flags.declare(declared, note).await {
            Ok(()) => Ok(flags),
            Err(ChangeError::StateFile(error)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "flags are not declared yet");
                Ok(flags)
            }
        }
    }

    /// Makes the cells those of the declared flags, and records a first state for each that has
    /// none. A flag that is no longer declared keeps its history.
    ///
    /// # Errors
    /// When a first state could not be recorded; the flag's cell then keeps everybody on legacy.
    pub async fn declare(
        &self,
        declared: &BTreeMap<FlagId, Settings>,
        note: &Note,
    ) -> Result<(), ChangeError> {
        let old = self.0.cells.load_full();
        let ledgers = self.0.ledgers.load_full();
        let cell = |(id, settings): (&FlagId, &Settings)| {
            let state = || {
                let known = ledgers.get(id).and_then(|ledger| ledger.effective());
                known.unwrap_or_else(|| unknown(id.clone(), settings.clone()))
            };
            let kept = old.get(id).cloned();
            (
                id.clone(),
                kept.unwrap_or_else(|| Arc::new(FlagCell::new(state()))),
            )
        };
        self.0
            .cells
            .store(Arc::new(declared.iter().map(cell).collect()));
        self.record_first_states(note).await
    }

    /// Records the declared state of each flag whose cell still waits for a known one.
    async fn record_first_states(&self, note: &Note) -> Result<(), ChangeError> {
        let mut result = Ok(());
        for shown in self.states().iter().filter(|shown| shown.version == 0) {
            let first = FlagState::declared(shown.id.clone(), shown.settings.clone());
            let next = |state: Option<&FlagState>| match state {
                Some(_) => Ok(None),
                None => Ok(Some(first.clone())),
            };
            result = result.and(self.commit(&shown.id, note, next).await.map(|_| ()));
        }
        result
    }

    /// The cells of the declared flags, for building a table.
    #[must_use]
    pub fn cells(&self) -> Arc<Cells> {
        self.0.cells.load_full()
    }

    /// The states of the declared flags.
    #[must_use]
    pub fn states(&self) -> Vec<Arc<FlagState>> {
        self.0
            .cells
            .load()
            .values()
            .map(|cell| cell.snapshot())
            .collect()
    }

    /// The state of a flag.
    ///
    /// # Errors
    /// [`ChangeError::UnknownFlag`].
    pub fn state(&self, id: &str) -> Result<Arc<FlagState>, ChangeError> {
        let cells = self.0.cells.load();
        let cell = cells
            .get(id)
            .ok_or_else(|| ChangeError::UnknownFlag(id.to_owned()))?;
        Ok(cell.snapshot())
    }

    /// Whether a kill of this flag waits to be recorded.
    #[must_use]
    pub fn is_pending(&self, id: &str) -> bool {
        self.0
            .ledgers
            .load()
            .get(id)
            .is_some_and(|ledger| ledger.pending_kill().is_some())
    }

    /// The newest changes of a flag, newest first; at most [`super::HISTORY_KEPT`].
    ///
    /// # Errors
    /// [`ChangeError::UnknownFlag`].
    pub fn history(&self, id: &str) -> Result<Vec<Arc<Change>>, ChangeError> {
        self.state(id)?;
        let ledgers = self.0.ledgers.load();
        Ok(ledgers
            .get(id)
            .map(|it| it.history().rev().cloned().collect())
            .unwrap_or_default())
    }

    /// Whether decisions rest on known states.
    ///
    /// # Errors
    /// Why not.
    pub fn readiness(&self) -> Result<(), String> {
        if self.0.loaded.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(format!(
                "{}, and there is no snapshot in `state_file`",
                self.log_fault()
            ))
        }
    }

    fn log_fault(&self) -> String {
        let fault = self.0.log_fault.load();
        fault.as_ref().map_or_else(
            || "the log was not read yet".to_owned(),
            |it| (**it).clone(),
        )
    }

    fn unknown_yet(&self) -> ChangeError {
        ChangeError::LogUnavailable(format!(
            "the flag's state is not known: {}",
            self.log_fault()
        ))
    }

    /// What is wrong without hindering the service, for the operator.
    #[must_use]
    pub fn degraded(&self) -> Vec<&'static str> {
        let mut degraded = Vec::new();
        if !self.0.reachable.load(Ordering::Acquire) {
            degraded.push("the log does not answer: only rollbacks work");
        }
        if !self.0.saved.load(Ordering::Acquire) {
            degraded.push("the state file cannot be written");
        }
        degraded
    }
}

/// Until a flag's state is known, everybody stays where they have always been.
fn unknown(id: FlagId, settings: Settings) -> FlagState {
    FlagState {
        id,
        settings,
        killed: true,
        version: 0,
    }
}

#[cfg(test)]
mod tests;
