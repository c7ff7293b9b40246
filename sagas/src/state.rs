//! Where a saga stands: all that its next transition depends on, and nothing else.
//!
//! Invariant: the state is complete. Whoever loads it from the database can go on where a dead
//! process stopped; the timers in it are what the table of deadlines is built from.

use std::collections::BTreeMap;

use database::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::{Definition, OnTimeout};

/// Where a saga as a whole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Steps are being done.
    Running,
    /// Every step is done, or was passed over by a `proceed` policy. An end.
    Completed,
    /// What may have started is being taken back.
    Compensating,
    /// Everything was taken back. An end.
    Compensated,
    /// Something could not be taken back; a person must look, or a late confirmation arrives.
    NeedsIntervention,
    /// An operator gave it up. An end.
    Abandoned,
    /// It waits: for its definition, an operator, or a late reply.
    Parked,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Completed,
        Self::Compensating,
        Self::Compensated,
        Self::NeedsIntervention,
        Self::Abandoned,
        Self::Parked,
    ];

    /// Whether nothing will ever change again.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Abandoned)
    }

    /// Whether the saga has turned back and is not through yet.
    pub const fn is_compensating(self) -> bool {
        matches!(self, Self::Compensating | Self::NeedsIntervention)
    }

    /// The name on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::NeedsIntervention => "needs_intervention",
            Self::Abandoned => "abandoned",
            Self::Parked => "parked",
        }
    }

    /// Reads the name that [`Phase::as_str`] gives.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Not begun, or its last attempt is known to have left nothing behind.
    Waiting,
    /// Begun, and not answered.
    Started,
    /// Known to be done.
    Done,
    /// Known not to have been done.
    Refused,
    /// The deadline passed and the saga decided without knowing.
    Unknown,
    /// The deadline passed and the policy is to wait for a person or the late reply.
    Held,
}

/// How far a step's undo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undoing {
    /// Nothing is to be taken back.
    Idle,
    /// To be taken back once the newer ones are.
    Waiting,
    /// Begun, and not confirmed.
    Started,
    /// Confirmed.
    Undone,
    /// The attempts are used up, or it was refused.
    Failed,
}

/// What a reply says about a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not done and will not be.
    Refused {
        /// Why, for people.
        reason: String,
    },
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// The time by which an ask must be answered.
    Deadline,
    /// The next attempt.
    Retry,
    /// The next attempt to take it back.
    UndoRetry,
}

impl Timer {
    /// The name on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Retry => "retry",
            Self::UndoRetry => "undo_retry",
        }
    }

    /// Reads the name that [`Timer::as_str`] gives.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Deadline, Self::Retry, Self::UndoRetry]
            .into_iter()
            .find(|timer| timer.as_str() == name)
    }
}

/// What each step's passed deadline means; copied into the saga at its start.
pub type Policy = BTreeMap<String, OnTimeout>;

/// One step of one saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepState {
    /// The step's name.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
    /// Attempts so far; only ever rises, so that each attempt's event has an id of its own.
    pub attempt: u32,
    /// Attempts since the start or an operator's retry: what the retry policy counts.
    pub tries: u32,
    /// How far its undo is.
    pub undo: Undoing,
    /// Attempts to undo so far; only ever rises.
    pub undo_attempt: u32,
    /// Attempts to undo since the turn or an operator's retry.
    pub undo_tries: u32,
    /// What a reply said that came after the decision, and changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Outcome>,
    /// The last error or refusal, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the step's owner or participant gave back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The trace context of the transition that a participant's reply caused, where it is recorded:
    /// what decides the saga later links to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_in: Option<String>,
    /// What it waits for, and when that is due.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub timers: BTreeMap<Timer, Timestamp>,
}

/// A saga whose definition is not registered waits, and is never guessed at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspension {
    /// The phase it returns to when its definition is there again.
    pub phase: Phase,
    /// What is missing, for people.
    pub reason: String,
}

/// Where a saga stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The saga as a whole; `state` on the wire.
    #[serde(rename = "state")]
    pub phase: Phase,
    /// Set while its definition is not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspension>,
    /// Whether it turned back and all that is taken back at once was: the owner's own data no
    /// longer hold what the saga did, whatever the participants still have to do.
    pub rolled_back: bool,
    /// Why it turned back, was held or was given up, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The steps, in the definition's order.
    pub steps: Vec<StepState>,
    /// The policy it was started under.
    pub policy: Policy,
}

impl State {
    /// A saga that has not begun. `overrides` are the operator's policies of this moment.
    pub fn new(definition: &Definition, overrides: &Policy) -> Self {
        let policy = definition
            .steps()
            .map(|step| {
                let chosen = overrides.get(step.name()).copied();
                (
                    step.name().to_owned(),
                    chosen.unwrap_or(step.timeout_policy()),
                )
            })
            .collect();
        Self {
            phase: Phase::Running,
            suspended: None,
            rolled_back: false,
            reason: None,
            steps: definition
                .steps()
                .map(|step| StepState::new(step.name()))
                .collect(),
            policy,
        }
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepState> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The step of that name, to be written to.
    pub(crate) fn step_mut(&mut self, name: &str) -> Option<&mut StepState> {
        self.steps.iter_mut().find(|step| step.name == name)
    }

    /// All that is waited for: step, timer and when it is due. Nothing while it is suspended or
    /// has ended.
    pub fn timers(&self) -> impl Iterator<Item = (&str, Timer, Timestamp)> {
        let idle = self.suspended.is_some() || self.phase.is_end();
        self.steps.iter().filter(move |_| !idle).flat_map(|step| {
            step.timers
                .iter()
                .map(|(timer, due)| (step.name.as_str(), *timer, *due))
        })
    }

    /// The same saga, parked because its definition is not registered. `None` when it has ended
    /// or is parked so already.
    #[must_use]
    pub fn suspended(&self, reason: &str) -> Option<Self> {
        if self.phase.is_end() || self.suspended.is_some() {
            return None;
        }
        let mut state = self.clone();
        state.suspended = Some(Suspension {
            phase: self.phase,
            reason: reason.to_owned(),
        });
        state.phase = Phase::Parked;
        Some(state)
    }

    /// The same saga where it stood before its definition went missing; `None` when it is not
    /// parked for that.
    #[must_use]
    pub fn resumed(&self) -> Option<Self> {
        let mut state = self.clone();
        state.phase = state.suspended.take()?.phase;
        Some(state)
    }

    /// The same saga, given up. `None` when it has ended.
    #[must_use]
    pub fn abandoned(&self, reason: &str) -> Option<Self> {
        if self.phase.is_end() {
            return None;
        }
        let mut state = self.clone();
        state.phase = Phase::Abandoned;
        state.suspended = None;
        state.reason = Some(reason.to_owned());
        for step in &mut state.steps {
            step.timers.clear();
        }
        Some(state)
    }
}

impl StepState {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            progress: Progress::Waiting,
            attempt: 0,
            tries: 0,
            undo: Undoing::Idle,
            undo_attempt: 0,
            undo_tries: 0,
            late: None,
            error: None,
            result: None,
            answered_in: None,
            timers: BTreeMap::new(),
        }
    }

    /// Whether the step may have left something behind.
    pub const fn may_have_started(&self) -> bool {
        matches!(
            self.progress,
            Progress::Started | Progress::Done | Progress::Unknown | Progress::Held
        )
    }

    /// Whether the forward path may go past it.
    pub const fn is_passed(&self) -> bool {
        matches!(self.progress, Progress::Done | Progress::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire_are_the_serialised_ones() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
            assert_eq!(Phase::parse(phase.as_str()), Some(phase));
        }
        for timer in [Timer::Deadline, Timer::Retry, Timer::UndoRetry] {
            assert_eq!(serde_json::to_value(timer).unwrap(), timer.as_str());
            assert_eq!(Timer::parse(timer.as_str()), Some(timer));
        }
    }

    #[test]
    fn a_suspended_saga_waits_for_nothing_and_returns_to_where_it_stood() {
        let definition = Definition::new("d", 1).step(crate::Step::ask("a"));
        let mut state = State::new(&definition, &Policy::new());
        state.steps[0]
            .timers
            .insert(Timer::Deadline, Timestamp::from_micros(1));
        let parked = state.suspended("gone").unwrap();
        assert_eq!((parked.phase, parked.timers().count()), (Phase::Parked, 0));
        assert_eq!(parked.suspended("again"), None);
        assert_eq!(parked.resumed(), Some(state));
    }
}
