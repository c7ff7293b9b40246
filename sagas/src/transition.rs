//! The one function that moves a saga: state × input → state × effects.
//!
//! Pure: no clock, no I/O, no randomness; the same for live work, recovery and tests. Its rules:
//! - Stages run in order; the steps of a stage run in parallel. Local actions of a stage run one by
//!   one and before the asks go out, so that a refusal here asks nobody.
//! - A decision stands: what a reply says after it is written down as late and changes nothing.
//! - Once turned back, every step that may have started is undone, and the saga ends compensated
//!   only when each undo is confirmed.
//! - The ends are absorbing.

mod compensation;
mod input;
mod intervention;
mod wording;

use database::Timestamp;
use faults::Mutation;
use serde_json::Value;

pub use self::{
    input::{Effect, End, IllegalMove, Input},
    intervention::{Intervention, Resolution, Verb},
};
use crate::{
    definition::{Action, Definition, OnTimeout, Step},
    state::{Outcome, Phase, Progress, State, StepState, Timer, Undoing},
};

/// Moves a saga.
///
/// # Errors
/// [`IllegalMove`] when the input does not fit the state, repeats included; nothing changes then.
pub fn transition(
    definition: &Definition,
    state: &State,
    input: &Input,
    now: Timestamp,
) -> Result<(State, Vec<Effect>), IllegalMove> {
    if state.phase.is_end() {
        return Err(IllegalMove::Ended(state.phase));
    }
    let names = state.steps.iter().map(|step| step.name.as_str());
    if !names.eq(definition.steps().map(Step::name)) {
        return Err(IllegalMove::Mismatch(
            definition.name(),
            definition.version(),
        ));
    }
    let mut saga = Move {
        definition,
        state: state.clone(),
        effects: Vec::new(),
        now,
    };
    if let Input::Intervened(intervention) = input {
        saga.intervene(intervention)?;
    } else if state.suspended.is_some() {
        return Err(IllegalMove::Suspended);
    } else {
        saga.apply(input)?;
    }
    Ok((saga.state, saga.effects))
}

/// One transition in the making.
struct Move<'a> {
    definition: &'a Definition,
    state: State,
    effects: Vec<Effect>,
    now: Timestamp,
}

impl<'a> Move<'a> {
    fn apply(&mut self, input: &Input) -> Result<(), IllegalMove> {
        match input {
            Input::Start => self.start(),
            Input::Answered {
                step,
                outcome,
                result,
            } => self.answered(step, outcome, result.as_ref()),
            Input::Failed { step, error } => self.failed(step, error),
            Input::Due { step, timer } => self.due(step, *timer),
            Input::Undone { step } => self.undone(step),
            Input::UndoFailed { step, error } => self.undo_failed(step, error),
            Input::UndoRefused { step, reason } => self.undo_refused(step, reason),
            Input::Intervened(intervention) => self.intervene(intervention),
        }
    }

    fn start(&mut self) -> Result<(), IllegalMove> {
        let begun = self.state.steps.iter().any(|step| step.attempt > 0);
        if begun || self.state.phase != Phase::Running {
            return Err(IllegalMove::AlreadyStarted);
        }
        self.advance();
        Ok(())
    }

    fn answered(
        &mut self,
        name: &str,
        outcome: &Outcome,
        result: Option<&Value>,
    ) -> Result<(), IllegalMove> {
        let compensating = self.state.phase.is_compensating();
        let (_, step) = self.step(name)?;
        let counts_late = faults::is_on(Mutation::LateReplyAccepted);
        match step.progress {
            Progress::Unknown if counts_late => self.settle(name, outcome),
            Progress::Started | Progress::Held if !compensating => {
                step.result = result.cloned();
                self.settle(name, outcome)
            }
            Progress::Unknown if step.late.is_none() => {
                step.late = Some(outcome.clone());
                Ok(())
            }
            Progress::Waiting => Err(IllegalMove::NotStarted(name.to_owned())),
            _ => Err(IllegalMove::AlreadySettled(name.to_owned())),
        }
    }

    /// Takes a step's outcome as the truth and goes on, or back.
    fn settle(&mut self, name: &str, outcome: &Outcome) -> Result<(), IllegalMove> {
        let (_, step) = self.step(name)?;
        step.timers.clear();
        match outcome {
            Outcome::Done => {
                step.progress = Progress::Done;
                step.error = None;
                self.advance();
            }
            Outcome::Refused { reason } => {
                step.progress = Progress::Refused;
                step.error = Some(reason.clone());
                self.turn(format!("step {name} was refused: {reason}"));
            }
        }
        Ok(())
    }

    fn failed(&mut self, name: &str, error: &str) -> Result<(), IllegalMove> {
        let now = self.now;
        let (declared, step) = self.step(name)?;
        if step.progress != Progress::Started || declared.action() != Action::Local {
            return Err(IllegalMove::NotStarted(name.to_owned()));
        }
        step.error = Some(error.to_owned());
        if declared.retries().allows_after(step.tries) {
            step.progress = Progress::Waiting;
            let pause = declared.retries().pause(step.tries);
            step.timers.insert(Timer::Retry, now + pause);
            self.advance();
        } else {
            step.progress = Progress::Refused;
            let tries = step.tries;
            self.turn(format!("step {name} failed {tries} times: {error}"));
        }
        Ok(())
    }

    fn due(&mut self, name: &str, timer: Timer) -> Result<(), IllegalMove> {
        let now = self.now;
        let (_, step) = self.step(name)?;
        if step.timers.get(&timer).is_none_or(|due| *due > now) {
            let step = name.to_owned();
            return Err(IllegalMove::NotDue { step, timer });
        }
        step.timers.remove(&timer);
        match timer {
            Timer::Deadline => self.timed_out(name),
            Timer::Retry => self.begin(name),
            Timer::UndoRetry => self.undo_due(name),
        }
    }

    fn timed_out(&mut self, name: &str) -> Result<(), IllegalMove> {
        let (declared, _) = self.step(name)?;
        let chosen = self.state.policy.get(name).copied();
        let (_, step) = self.step(name)?;
        step.timers.clear();
        step.progress = Progress::Unknown;
        let reason = format!("step {name} was not answered in time");
        match chosen.unwrap_or(declared.timeout_policy()) {
            OnTimeout::Compensate => self.turn(reason),
            OnTimeout::Proceed => self.advance(),
            OnTimeout::Park => {
                step.progress = Progress::Held;
                self.state.reason = Some(reason);
                self.advance();
            }
        }
        Ok(())
    }

    /// Begins whatever may begin now: the first stage that is not through decides.
    fn advance(&mut self) {
        let held = self
            .state
            .steps
            .iter()
            .any(|step| step.progress == Progress::Held);
        if held {
            self.state.phase = Phase::Parked;
        } else {
            self.state.phase = Phase::Running;
            self.state.reason = None;
        }
        let definition = self.definition;
        for stage in definition.stages() {
            let in_stage = |action: Action| stage.iter().filter(move |s| s.action() == action);
            if in_stage(Action::Local).any(|s| self.progress(s) == Some(Progress::Started)) {
                return;
            }
            if let Some(next) = in_stage(Action::Local).find(|s| self.is_untouched(s)) {
                self.begin_declared(next);
                return;
            }
            for ask in in_stage(Action::Ask) {
                if self.is_untouched(ask) {
                    self.begin_declared(ask);
                }
            }
            let passed = |s: &Step| self.state.step(s.name()).is_some_and(StepState::is_passed);
            if !stage.iter().all(passed) {
                return;
            }
        }
        self.end(Phase::Completed, End::Completed);
    }

    fn begin(&mut self, name: &str) -> Result<(), IllegalMove> {
        let (declared, _) = self.step(name)?;
        self.begin_declared(declared);
        Ok(())
    }

    /// The next attempt of a step; the deadline is set by the first of a series.
    fn begin_declared(&mut self, declared: &Step) {
        let now = self.now;
        let Ok((_, step)) = self.step(declared.name()) else {
            return;
        };
        if declared.action() == Action::Ask && step.tries == 0 {
            step.timers
                .insert(Timer::Deadline, now + declared.time_allowed());
        }
        step.progress = Progress::Started;
        step.attempt += 1;
        step.tries += 1;
        let (name, attempt) = (step.name.clone(), step.attempt);
        let effect = match declared.action() {
            Action::Local => Effect::Act {
                step: name,
                attempt,
            },
            Action::Ask => {
                if declared.retries().allows_after(step.tries) {
                    let pause = declared.retries().pause(step.tries);
                    step.timers.insert(Timer::Retry, now + pause);
                }
                Effect::Ask {
                    step: name,
                    attempt,
                }
            }
        };
        self.effects.push(effect);
    }

    fn end(&mut self, phase: Phase, end: End) {
        self.state.phase = phase;
        for step in &mut self.state.steps {
            step.timers.clear();
        }
        self.effects.push(Effect::Ended(end));
    }

    fn step(&mut self, name: &str) -> Result<(&'a Step, &mut StepState), IllegalMove> {
        let declared = self.definition.find(name);
        let step = self.state.steps.iter_mut().find(|step| step.name == name);
        declared
            .zip(step)
            .ok_or_else(|| IllegalMove::UnknownStep(name.to_owned()))
    }

    fn progress(&self, declared: &Step) -> Option<Progress> {
        self.state.step(declared.name()).map(|step| step.progress)
    }

    fn is_untouched(&self, declared: &Step) -> bool {
        self.state
            .step(declared.name())
            .is_some_and(|step| step.progress == Progress::Waiting && step.attempt == 0)
    }

    fn is_undo(&self, declared: &Step, undos: &[Undoing]) -> bool {
        self.state
            .step(declared.name())
            .is_some_and(|step| undos.contains(&step.undo))
    }
}
