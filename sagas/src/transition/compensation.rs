//! The way back.

use faults::Mutation;

use super::{Effect, End, IllegalMove, Move};
use crate::{
    definition::{Action, Step, Timing},
    state::{Phase, Progress, Timer, Undoing},
};

/// Undos that are not through.
const OPEN: [Undoing; 3] = [Undoing::Waiting, Undoing::Started, Undoing::Failed];

impl Move<'_> {
    /// Turns back: from here on the saga can only end compensated, or be given up.
    pub(super) fn turn(&mut self, reason: String) {
        self.state.reason = Some(reason);
        self.state.phase = Phase::Compensating;
        let definition = self.definition;
        for (declared, step) in definition.steps().zip(&mut self.state.steps) {
            step.timers.clear();
            if matches!(step.progress, Progress::Started | Progress::Held) {
                step.progress = Progress::Unknown;
            }
            if step.may_have_started() && declared.undoing().action().is_some() {
                step.undo = Undoing::Waiting;
            }
        }
        for declared in definition.steps().rev() {
            if declared.undoing().timing() == Timing::AtOnce
                && self.is_undo(declared, &[Undoing::Waiting])
            {
                self.begin_undo(declared);
            }
        }
        self.unwind();
    }

    /// Begins the undos whose turn it is: the newest stage that is not through decides.
    pub(super) fn unwind(&mut self) {
        let definition = self.definition;
        for stage in definition.stages().iter().rev() {
            for declared in stage {
                if self.is_undo(declared, &[Undoing::Waiting]) {
                    self.begin_undo(declared);
                }
            }
            if stage.iter().any(|declared| self.is_undo(declared, &OPEN)) {
                break;
            }
        }
        self.state.rolled_back = !definition.steps().any(|declared| {
            let undo = declared.undoing();
            undo.timing() == Timing::AtOnce
                && undo.action() == Some(Action::Local)
                && self.is_undo(declared, &OPEN)
        });
        if definition
            .steps()
            .any(|step| self.is_undo(step, &[Undoing::Failed]))
        {
            self.state.phase = Phase::NeedsIntervention;
        } else if definition.steps().any(|step| self.is_undo(step, &OPEN)) {
            self.state.phase = Phase::Compensating;
        } else {
            self.end(Phase::Compensated, End::Compensated);
        }
    }

    /// The next attempt to take a step back.
    pub(super) fn begin_undo(&mut self, declared: &Step) {
        let now = self.now;
        let Ok((_, step)) = self.step(declared.name()) else {
            return;
        };
        step.undo = Undoing::Started;
        step.undo_attempt += 1;
        step.undo_tries += 1;
        let (name, attempt) = (step.name.clone(), step.undo_attempt);
        let effect = if declared.undoing().action() == Some(Action::Ask) {
            // Set after the last attempt too: its confirmation is waited for as well.
            let pause = declared.undoing().retries().pause(step.undo_tries);
            if !faults::is_on(Mutation::CompensationNotRepeated) {
                step.timers.insert(Timer::UndoRetry, now + pause);
            }
            Effect::AskUndo {
                step: name,
                attempt,
            }
        } else {
            Effect::Undo {
                step: name,
                attempt,
            }
        };
        self.effects.push(effect);
    }

    pub(super) fn undo_due(&mut self, name: &str) -> Result<(), IllegalMove> {
        let (declared, step) = self.step(name)?;
        if declared.undoing().retries().allows_after(step.undo_tries) {
            self.begin_undo(declared);
        } else {
            step.undo = Undoing::Failed;
            step.error = Some(format!(
                "its undo was not confirmed after {} attempts",
                step.undo_tries
            ));
        }
        self.unwind();
        Ok(())
    }

    /// A confirmation counts whenever it comes, also before the ask and after the last attempt.
    pub(super) fn undone(&mut self, name: &str) -> Result<(), IllegalMove> {
        let step = self.being_undone(name)?;
        step.timers.clear();
        step.undo = Undoing::Undone;
        step.error = None;
        self.unwind();
        Ok(())
    }

    pub(super) fn undo_failed(&mut self, name: &str, error: &str) -> Result<(), IllegalMove> {
        let now = self.now;
        let (declared, _) = self.step(name)?;
        let step = self.being_undone(name)?;
        if step.undo != Undoing::Started || declared.undoing().action() != Some(Action::Local) {
            return Err(IllegalMove::NotStarted(name.to_owned()));
        }
        step.error = Some(error.to_owned());
        let retry = declared.undoing().retries();
        if retry.allows_after(step.undo_tries) {
            step.timers
                .insert(Timer::UndoRetry, now + retry.pause(step.undo_tries));
        } else {
            step.undo = Undoing::Failed;
        }
        self.unwind();
        Ok(())
    }

    pub(super) fn undo_refused(&mut self, name: &str, reason: &str) -> Result<(), IllegalMove> {
        let step = self.being_undone(name)?;
        if step.undo == Undoing::Failed {
            return Err(IllegalMove::AlreadySettled(name.to_owned()));
        }
        step.timers.clear();
        step.undo = Undoing::Failed;
        step.error = Some(reason.to_owned());
        self.unwind();
        Ok(())
    }

    fn being_undone(&mut self, name: &str) -> Result<&mut crate::state::StepState, IllegalMove> {
        let compensating = self.state.phase.is_compensating();
        let (_, step) = self.step(name)?;
        if !compensating {
            return Err(IllegalMove::NotCompensating(name.to_owned()));
        }
        match step.undo {
            Undoing::Waiting | Undoing::Started | Undoing::Failed => Ok(step),
            Undoing::Undone => Err(IllegalMove::AlreadySettled(name.to_owned())),
            Undoing::Idle => Err(IllegalMove::NothingToUndo(name.to_owned())),
        }
    }
}
