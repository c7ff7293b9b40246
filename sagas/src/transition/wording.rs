//! Inputs and effects in a few words each, for timelines that people read.

use std::fmt;

use super::{Effect, End, Input, Intervention};
use crate::state::{Outcome, Timer};

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Answered { step, outcome, .. } => match outcome {
                Outcome::Done => write!(f, "{step} done"),
                Outcome::Refused { reason } => write!(f, "{step} refused: {reason}"),
            },
            Self::Failed { step, error } => write!(f, "{step} failed: {error}"),
            Self::Due { step, timer } => match timer {
                Timer::Deadline => write!(f, "deadline of {step} passed"),
                Timer::Retry => write!(f, "next attempt of {step} due"),
                Timer::UndoRetry => write!(f, "next undo of {step} due"),
            },
            Self::Undone { step } => write!(f, "{step} undone"),
            Self::UndoFailed { step, error } => write!(f, "undo of {step} failed: {error}"),
            Self::UndoRefused { step, reason } => write!(f, "undo of {step} refused: {reason}"),
            Self::Intervened(by) => by.fmt(f),
        }
    }
}

impl fmt::Display for Intervention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            actor,
            reason,
        } = self;
        write!(f, "{actor}: {}", verb.name())?;
        if let Some(step) = verb.target() {
            write!(f, " {step}")?;
        }
        if let Some(outcome) = verb.outcome() {
            write!(f, " as {}", outcome.as_str())?;
        }
        write!(f, ", because {reason}")
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, step, attempt) = match self {
            Self::Act { step, attempt } => ("do", step, attempt),
            Self::Ask { step, attempt } => ("ask for", step, attempt),
            Self::Undo { step, attempt } => ("undo", step, attempt),
            Self::AskUndo { step, attempt } => ("ask to undo", step, attempt),
            Self::Intervened(_) => return f.write_str("publish the act"),
            Self::Ended(End::Completed) => return f.write_str("end completed"),
            Self::Ended(End::Compensated) => return f.write_str("end compensated"),
            Self::Ended(End::Abandoned) => return f.write_str("end abandoned"),
        };
        write!(f, "{what} {step}")?;
        if *attempt > 1 {
            write!(f, " (attempt {attempt})")?;
        }
        Ok(())
    }
}
