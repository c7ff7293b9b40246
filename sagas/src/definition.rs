//! What a saga's workflow looks like: stages in sequence, the steps of a stage in parallel.
//!
//! Invariant: a definition is a value that reads like the workflow and decides nothing by itself;
//! [`Definition::check`] finds its faults before the first saga starts.

use std::{collections::HashSet, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long an ask may stay unanswered unless its step says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// Attempts at most, whatever a policy says: work that failed this often needs a person.
pub const MAX_ATTEMPTS: u32 = 100;

/// Steps at most in one definition: all of them are read and written with each transition.
pub const MAX_STEPS: usize = 64;

/// A workflow: its name, its version and its stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    name: &'static str,
    version: u32,
    stages: Vec<Vec<Step>>,
}

/// One named step of a [`Definition`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    name: &'static str,
    action: Action,
    deadline: Duration,
    retry: Retry,
    on_timeout: OnTimeout,
    undo: Undo,
}

/// Who does a step's work, or takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The owner, in the transition's own transaction.
    Local,
    /// A participant: it is asked by an event and answers with one.
    Ask,
}

/// What an unanswered ask means once its deadline has passed; its outcome is then unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// Turn back and undo everything that may have started.
    Compensate,
    /// Go on without knowing.
    Proceed,
    /// Wait for an operator, or for the late reply.
    Park,
}

impl OnTimeout {
    /// The name on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compensate => "compensate",
            Self::Proceed => "proceed",
            Self::Park => "park",
        }
    }

    /// Reads the name that [`OnTimeout::as_str`] gives.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Compensate, Self::Proceed, Self::Park]
            .into_iter()
            .find(|policy| policy.as_str() == name)
    }
}

/// How a step is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    action: Option<Action>,
    timing: Timing,
    retry: Retry,
}

/// When a step is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// In the very transaction that turns to compensating.
    AtOnce,
    /// Newest stage first, once all newer steps are confirmed undone.
    InOrder,
}

/// A bounded number of attempts with pauses that double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    attempts: u32,
    first: Duration,
    longest: Duration,
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DefinitionFault {
    /// It has no step, or a stage without one.
    #[error("definition {0} has an empty stage, or none at all")]
    Empty(&'static str),
    /// Two steps share a name.
    #[error("definition {0} has two steps named {1}")]
    Duplicate(&'static str, &'static str),
    /// More than [`MAX_STEPS`].
    #[error("definition {0} has more than {MAX_STEPS} steps")]
    TooMany(&'static str),
    /// Two workflows of one name and version.
    #[error("definition {0} version {1} is registered twice")]
    Twice(&'static str, u32),
    /// An attempt count outside `1..=MAX_ATTEMPTS`.
    #[error("step {1} of definition {0} must have 1 to {MAX_ATTEMPTS} attempts")]
    Attempts(&'static str, &'static str),
}

impl Definition {
    /// An empty workflow; add its stages with [`Definition::step`] and [`Definition::parallel`].
    /// A change of its stages or steps needs a new version: running sagas keep theirs.
    pub const fn new(name: &'static str, version: u32) -> Self {
        Self {
            name,
            version,
            stages: Vec::new(),
        }
    }

    /// Adds a stage of one step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.stages.push(vec![step]);
        self
    }

    /// Adds a stage whose steps run in parallel.
    #[must_use]
    pub fn parallel(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.stages.push(steps.into_iter().collect());
        self
    }

    /// The workflow's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The workflow's version.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The stages in order.
    pub fn stages(&self) -> &[Vec<Step>] {
        &self.stages
    }

    /// All steps in order.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.stages.iter().flatten()
    }

    /// The step of that name.
    pub fn find(&self, name: &str) -> Option<&Step> {
        self.steps().find(|step| step.name == name)
    }

    /// Finds the first fault.
    ///
    /// # Errors
    /// [`DefinitionFault`] names the definition and the step.
    pub fn check(&self) -> Result<(), DefinitionFault> {
        if self.stages.is_empty() || self.stages.iter().any(Vec::is_empty) {
            return Err(DefinitionFault::Empty(self.name));
        }
        if self.steps().count() > MAX_STEPS {
            return Err(DefinitionFault::TooMany(self.name));
        }
        let mut names = HashSet::new();
        for step in self.steps() {
            if !names.insert(step.name) {
                return Err(DefinitionFault::Duplicate(self.name, step.name));
            }
            for retry in [step.retry, step.undo.retry] {
                if !(1..=MAX_ATTEMPTS).contains(&retry.attempts) {
                    return Err(DefinitionFault::Attempts(self.name, step.name));
                }
            }
        }
        Ok(())
    }
}

impl Step {
    /// A step that the owner does itself, in the transition's transaction. A failure is tried
    /// again five times from 100 ms on; after that the step counts as refused.
    pub const fn local(name: &'static str) -> Self {
        Self::new(
            name,
            Action::Local,
            Retry::new(5, Duration::from_millis(100), Duration::from_secs(5)),
        )
    }

    /// A step that a participant is asked to do. It is asked once unless [`Step::retry`] says
    /// more: the log does not lose the ask.
    pub const fn ask(name: &'static str) -> Self {
        Self::new(
            name,
            Action::Ask,
            Retry::new(1, Duration::from_secs(1), Duration::from_secs(1)),
        )
    }

    const fn new(name: &'static str, action: Action, retry: Retry) -> Self {
        Self {
            name,
            action,
            deadline: DEFAULT_DEADLINE,
            retry,
            on_timeout: OnTimeout::Compensate,
            undo: Undo::none(),
        }
    }

    /// How long an ask may stay unanswered, over all its attempts. A local action has none.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often a failed local action is run again, or an unanswered ask repeated.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What a passed deadline means; operators can change it for new sagas.
    #[must_use]
    pub const fn on_timeout(mut self, on_timeout: OnTimeout) -> Self {
        self.on_timeout = on_timeout;
        self
    }

    /// How the step is taken back; without it nothing is.
    #[must_use]
    pub const fn undo(mut self, undo: Undo) -> Self {
        self.undo = undo;
        self
    }

    /// The step's name, unique in its definition.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Who does it.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// See [`Step::deadline`].
    pub const fn time_allowed(&self) -> Duration {
        self.deadline
    }

    /// See [`Step::retry`].
    pub const fn retries(&self) -> Retry {
        self.retry
    }

    /// What a passed deadline means by default.
    pub const fn timeout_policy(&self) -> OnTimeout {
        self.on_timeout
    }

    /// How it is taken back.
    pub const fn undoing(&self) -> &Undo {
        &self.undo
    }
}

impl Undo {
    /// Nothing is to be taken back.
    pub const fn none() -> Self {
        Self::by(None)
    }

    /// The owner takes it back, in the transition's transaction.
    pub const fn local() -> Self {
        Self::by(Some(Action::Local))
    }

    /// A participant is asked to take it back, and confirms.
    pub const fn ask() -> Self {
        Self::by(Some(Action::Ask))
    }

    const fn by(action: Option<Action>) -> Self {
        // A participant may be down for a while; with these pauses it has over five minutes
        // before a person is called, and its late confirmation still closes the saga.
        let retry = Retry::new(10, Duration::from_secs(1), Duration::from_secs(60));
        Self {
            action,
            timing: Timing::InOrder,
            retry,
        }
    }

    /// In the very transaction that turns to compensating, instead of in order.
    #[must_use]
    pub const fn at_once(mut self) -> Self {
        self.timing = Timing::AtOnce;
        self
    }

    /// How often and how patiently; after that a person is needed.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Who takes it back; `None` when nothing is to be taken back.
    pub const fn action(&self) -> Option<Action> {
        self.action
    }

    /// When it is taken back.
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// See [`Undo::retry`].
    pub const fn retries(&self) -> Retry {
        self.retry
    }
}

impl Retry {
    /// At most `attempts`, the first one included; pauses double from `first` up to `longest`.
    pub const fn new(attempts: u32, first: Duration, longest: Duration) -> Self {
        Self {
            attempts,
            first,
            longest,
        }
    }

    /// Attempts at most, the first one included.
    pub const fn attempts(self) -> u32 {
        self.attempts
    }

    /// Whether another attempt may follow the `attempt`-th.
    pub const fn allows_after(self, attempt: u32) -> bool {
        attempt < self.attempts
    }

    /// The pause after the `attempt`-th, from 1.
    pub fn pause(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(30);
        self.first
            .saturating_mul(1_u32 << doublings)
            .min(self.longest)
    }
}
