//! What can happen to a saga, what is to be done then, and what cannot happen.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::Intervention;
use crate::state::{Outcome, Phase, Timer};

/// What can happen to a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// It begins.
    Start,
    /// A local action ran, or a participant answered.
    Answered {
        /// The step.
        step: String,
        /// What it says.
        outcome: Outcome,
        /// What came with it, kept with the step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
    },
    /// A local action failed and left nothing behind.
    Failed {
        /// The step.
        step: String,
        /// Why, for people.
        error: String,
    },
    /// A timer ran out.
    Due {
        /// The step.
        step: String,
        /// Which of its timers.
        timer: Timer,
    },
    /// A step was taken back: a local undo ran, or a participant confirmed.
    Undone {
        /// The step.
        step: String,
    },
    /// A local undo failed and changed nothing.
    UndoFailed {
        /// The step.
        step: String,
        /// Why, for people.
        error: String,
    },
    /// A participant cannot take the step back.
    UndoRefused {
        /// The step.
        step: String,
        /// Why, for people.
        reason: String,
    },
    /// An operator acts.
    Intervened(Intervention),
}

impl Input {
    /// The name in traces.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Answered { .. } => "answered",
            Self::Failed { .. } => "failed",
            Self::Due { .. } => "due",
            Self::Undone { .. } => "undone",
            Self::UndoFailed { .. } => "undo_failed",
            Self::UndoRefused { .. } => "undo_refused",
            Self::Intervened(_) => "intervened",
        }
    }

    /// The step that it is about.
    pub(crate) fn step(&self) -> Option<&str> {
        match self {
            Self::Start | Self::Intervened(_) => None,
            Self::Answered { step, .. }
            | Self::Failed { step, .. }
            | Self::Due { step, .. }
            | Self::Undone { step }
            | Self::UndoFailed { step, .. }
            | Self::UndoRefused { step, .. } => Some(step),
        }
    }
}

/// What is to be done in the transition's transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run the local action, then feed [`Input::Answered`] or [`Input::Failed`].
    Act {
        /// The step.
        step: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Ask the participant.
    Ask {
        /// The step.
        step: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Take the step back locally, then feed [`Input::Undone`] or [`Input::UndoFailed`].
    Undo {
        /// The step.
        step: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Ask the participant to take the step back.
    AskUndo {
        /// The step.
        step: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Publish what the operator did.
    Intervened(Intervention),
    /// The saga is over.
    Ended(End),
}

/// How a saga is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every step is done or passed over.
    Completed,
    /// Everything that may have started was taken back.
    Compensated,
    /// An operator gave it up.
    Abandoned,
}

/// Why an input is not possible in a state. Nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IllegalMove {
    /// The saga has ended.
    #[error("the saga is {}", .0.as_str())]
    Ended(Phase),
    /// The saga has begun already.
    #[error("the saga has begun already")]
    AlreadyStarted,
    /// The saga waits for its definition.
    #[error("the saga waits for its definition")]
    Suspended,
    /// The state does not have the definition's steps.
    #[error("the saga does not have the steps of definition {0} version {1}")]
    Mismatch(&'static str, u32),
    /// The definition has no such step.
    #[error("there is no step {0}")]
    UnknownStep(String),
    /// The step has not begun.
    #[error("step {0} has not begun")]
    NotStarted(String),
    /// A repeat: the step has that answer or another one already.
    #[error("step {0} is settled already")]
    AlreadySettled(String),
    /// The saga has not turned back.
    #[error("step {0} is not being undone")]
    NotCompensating(String),
    /// The step never started, or has nothing to undo.
    #[error("step {0} has nothing to undo")]
    NothingToUndo(String),
    /// The timer is not set, or not due yet.
    #[error("the {} of step {step} is not due", timer.as_str())]
    NotDue {
        /// The step.
        step: String,
        /// Which of its timers.
        timer: Timer,
    },
    /// The operator's verb does not fit where the saga or its step stands.
    #[error("{verb} is not possible: {why}")]
    NotPossible {
        /// The verb.
        verb: &'static str,
        /// What it would need.
        why: &'static str,
    },
}
