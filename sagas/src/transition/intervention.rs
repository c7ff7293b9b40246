//! What an operator may do to a saga, and when.

use serde::{Deserialize, Serialize};

use super::{Effect, End, IllegalMove, Move};
use crate::{
    definition::Step,
    state::{Outcome, Progress, Undoing},
};

/// An operator's act: what, who and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intervention {
    /// What.
    pub verb: Verb,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What an operator can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Verb {
    /// Begin a step again that is unanswered, held, or waits for its next attempt.
    RetryStep {
        /// The step.
        step: String,
    },
    /// Begin all undos again that failed or are not confirmed.
    RetryCompensation,
    /// State what is known about a step from elsewhere.
    ResolveStep {
        /// The step.
        step: String,
        /// What is known.
        outcome: Resolution,
    },
    /// Turn back although nothing was refused.
    ForceCompensation,
    /// Give the saga up as it is.
    Abandon,
}

/// What an operator knows about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It was done.
    Done,
    /// It was not done, and will not be.
    Refused,
    /// It was taken back.
    Undone,
}

impl Resolution {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Undone => "undone",
        }
    }
}

impl Verb {
    /// What [`Verb::name`] can be.
    pub(crate) const NAMES: [&'static str; 5] = [
        "retry_step",
        "retry_compensation",
        "resolve_step",
        "force_compensation",
        "abandon",
    ];

    /// The verb's name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RetryStep { .. } => "retry_step",
            Self::RetryCompensation => "retry_compensation",
            Self::ResolveStep { .. } => "resolve_step",
            Self::ForceCompensation => "force_compensation",
            Self::Abandon => "abandon",
        }
    }

    /// The step acted on, where the verb names one.
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::RetryStep { step } | Self::ResolveStep { step, .. } => Some(step),
            Self::RetryCompensation | Self::ForceCompensation | Self::Abandon => None,
        }
    }

    /// The outcome given to the step, where the verb gives one.
    pub const fn outcome(&self) -> Option<Resolution> {
        match self {
            Self::ResolveStep { outcome, .. } => Some(*outcome),
            _ => None,
        }
    }

    const fn refused(&self, why: &'static str) -> IllegalMove {
        IllegalMove::NotPossible {
            verb: self.name(),
            why,
        }
    }
}

impl Move<'_> {
    pub(super) fn intervene(&mut self, intervention: &Intervention) -> Result<(), IllegalMove> {
        let verb = &intervention.verb;
        if self.state.suspended.is_some() && *verb != Verb::Abandon {
            return Err(IllegalMove::Suspended);
        }
        self.effects.push(Effect::Intervened(intervention.clone()));
        match verb {
            Verb::RetryStep { step } => self.retry_step(verb, step),
            Verb::RetryCompensation => self.retry_compensation(verb),
            Verb::ResolveStep { step, outcome } => {
                self.resolve(verb, step, *outcome, &intervention.reason)
            }
            Verb::ForceCompensation => {
                if self.state.phase.is_compensating() {
                    return Err(verb.refused("the saga has turned back already"));
                }
                self.turn(intervention.reason.clone());
                Ok(())
            }
            Verb::Abandon => {
                if let Some(state) = self.state.abandoned(&intervention.reason) {
                    self.state = state;
                }
                self.effects.push(Effect::Ended(End::Abandoned));
                Ok(())
            }
        }
    }

    fn retry_step(&mut self, verb: &Verb, name: &str) -> Result<(), IllegalMove> {
        let declared = self.open_step(verb, name)?;
        let (_, step) = self.step(name)?;
        step.tries = 0;
        step.timers.clear();
        self.begin_declared(declared);
        self.advance();
        Ok(())
    }

    fn retry_compensation(&mut self, verb: &Verb) -> Result<(), IllegalMove> {
        if !self.state.phase.is_compensating() {
            return Err(verb.refused("the saga has not turned back"));
        }
        let definition = self.definition;
        for declared in definition.steps().rev() {
            if self.is_undo(declared, &[Undoing::Started, Undoing::Failed]) {
                let (_, step) = self.step(declared.name())?;
                step.undo_tries = 0;
                step.timers.clear();
                self.begin_undo(declared);
            }
        }
        self.unwind();
        Ok(())
    }

    fn resolve(
        &mut self,
        verb: &Verb,
        name: &str,
        outcome: Resolution,
        reason: &str,
    ) -> Result<(), IllegalMove> {
        match outcome {
            Resolution::Undone => self.undone(name),
            Resolution::Done => {
                self.open_step(verb, name)?;
                self.settle(name, &Outcome::Done)
            }
            Resolution::Refused => {
                self.open_step(verb, name)?;
                let reason = reason.to_owned();
                self.settle(name, &Outcome::Refused { reason })
            }
        }
    }

    /// The step, if the way forward still waits for it.
    fn open_step<'a>(&mut self, verb: &Verb, name: &str) -> Result<&'a Step, IllegalMove>
    where
        Self: 'a,
    {
        let compensating = self.state.phase.is_compensating();
        let (declared, step) = self.step(name)?;
        if compensating {
            return Err(verb.refused("the saga has turned back"));
        }
        match step.progress {
            Progress::Started | Progress::Held => Ok(declared),
            Progress::Waiting if step.attempt > 0 => Ok(declared),
            _ => Err(verb.refused("the step is not open")),
        }
    }
}
