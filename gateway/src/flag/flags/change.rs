//! Changing a flag: by patch, by rollback, by restoring an earlier version.

use std::sync::atomic::Ordering;

use super::{Backing, ChangeError, Changed, Flags, Outcome, record::RecordError};
use crate::{
    flag::{FlagState, Patch, ledger::Note},
    id::FlagId,
};

/// How often a change is tried again when another gateway changed the flag first. Each round means
/// that somebody else succeeded; more rounds than this are a fight between two programs.
const MAX_ROUNDS: usize = 8;

impl Flags {
    /// Changes a flag. A bare kill never fails for want of the log or the file.
    ///
    /// # Errors
    /// See [`ChangeError`]; nothing has changed then.
    pub async fn change(
        &self,
        id: &str,
        patch: &Patch,
        note: &Note,
        if_version: Option<u64>,
    ) -> Result<Changed, ChangeError> {
        let id = self.state(id)?.id.clone();
        if patch.is_kill() {
            return self.kill(&id, note, if_version).await;
        }
        let next = |state: Option<&FlagState>| {
            let state = state.ok_or_else(|| self.unknown_yet())?;
            fresh(state.version, if_version)?;
            let after = patch.apply(state);
            after.settings.validate()?;
            Ok(Some(after).filter(|after| differs(state, after)))
        };
        self.commit(&id, note, next).await
    }

    /// Brings back the state that a version had, its kill switch included.
    ///
    /// # Errors
    /// See [`ChangeError`]; nothing has changed then.
    pub async fn restore(
        &self,
        id: &str,
        version: u64,
        note: &Note,
    ) -> Result<Changed, ChangeError> {
        let id = self.state(id)?.id.clone();
        let history = self.history(id.as_str())?;
        let old = history.iter().find(|change| change.version == version);
        let old = old
            .ok_or(ChangeError::UnknownVersion(version))?
            .after
            .clone();
        let next = |state: Option<&FlagState>| {
            let state = state.ok_or_else(|| self.unknown_yet())?;
            let after = FlagState {
                version: state.version + 1,
                ..old.clone()
            };
            Ok(Some(after).filter(|after| differs(state, after)))
        };
        self.commit(&id, note, next).await
    }

    /// The kill takes effect before anything that can wait or fail.
    async fn kill(
        &self,
        id: &FlagId,
        note: &Note,
        if_version: Option<u64>,
    ) -> Result<Changed, ChangeError> {
        let state = self.state(id.as_str())?;
        fresh(state.version, if_version)?;
        if state.killed && !self.is_pending(id.as_str()) && state.version > 0 {
            return Ok(Changed {
                state: (*state).clone(),
                outcome: Outcome::Unchanged,
            });
        }
        self.update(id, |ledger| match ledger.pending_kill() {
            Some(_) => ledger.clone(),
            None => ledger.with_pending_kill(Some(note.clone())),
        });
        if let Backing::Log(_, Some(_)) = &self.0.backing {
            self.save_snapshot().await;
        }
        // A log that is known to be away is not asked: the operator would wait for nothing, and
        // whoever follows the log records the kill as soon as it is back.
        if !self.0.reachable.load(Ordering::Acquire) {
            let state = (*self.state(id.as_str())?).clone();
            return Ok(Changed {
                state,
                outcome: Outcome::Pending,
            });
        }
        let mut cursor = self.0.changing.lock().await;
        for _ in 0..MAX_ROUNDS {
            match self.merge_kill(&mut cursor, id).await {
                Err(RecordError::Conflict) => {}
                Err(RecordError::Failed(error)) => {
                    tracing::warn!(flag = %id, %error, "the rollback is not recorded yet");
                    break;
                }
                Ok(()) => break,
            }
        }
        let is_pending = self.is_pending(id.as_str());
        let outcome = if is_pending {
            Outcome::Pending
        } else {
            Outcome::Recorded
        };
        Ok(Changed {
            state: (*self.state(id.as_str())?).clone(),
            outcome,
        })
    }

    /// Records what `next` makes of the newest state, as its next version; asks again when
    /// somebody else was first. `None` means that there is nothing to do.
    pub(super) async fn commit(
        &self,
        id: &FlagId,
        note: &Note,
        next: impl Fn(Option<&FlagState>) -> Result<Option<FlagState>, ChangeError>,
    ) -> Result<Changed, ChangeError> {
        let mut cursor = self.0.changing.lock().await;
        for _ in 0..MAX_ROUNDS {
            // A kill that waits comes first, so that it is never overtaken by what clears it.
            match self.merge_kill(&mut cursor, id).await {
                Ok(()) => {}
                Err(RecordError::Conflict) => continue,
                Err(RecordError::Failed(error)) => return Err(error),
            }
            let ledger = self.ledger(id);
            let Some(after) = next(ledger.recorded())? else {
                let state = (*self.state(id.as_str())?).clone();
                return Ok(Changed {
                    state,
                    outcome: Outcome::Unchanged,
                });
            };
            let change = note.clone().change(ledger.recorded(), after.clone());
            match self.record(&mut cursor, id, change).await {
                Ok(()) => {
                    return Ok(Changed {
                        state: after,
                        outcome: Outcome::Recorded,
                    });
                }
                Err(RecordError::Conflict) => {}
                Err(RecordError::Failed(error)) => return Err(error),
            }
        }
        let text = format!("the flag was changed by others {MAX_ROUNDS} times meanwhile");
        Err(ChangeError::LogUnavailable(text))
    }
}

fn fresh(current: u64, if_version: Option<u64>) -> Result<(), ChangeError> {
    match if_version {
        Some(expected) if expected != current => Err(ChangeError::Stale { current }),
        _ => Ok(()),
    }
}

fn differs(before: &FlagState, after: &FlagState) -> bool {
    before.settings != after.settings || before.killed != after.killed
}
