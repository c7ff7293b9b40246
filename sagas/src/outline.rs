//! A definition as data: what operators and pictures are shown of it.
//!
//! Invariant: an outline decides nothing; the engine moves sagas by the [`Definition`] alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    definition::{Action, Definition, OnTimeout, Step, Timing},
    state::State,
};

/// A definition's stages, the steps of a stage in parallel. JSON in camelCase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outline {
    /// The definition's name.
    pub name: String,
    /// The definition's version.
    pub version: u32,
    /// The stages in order.
    pub stages: Vec<Vec<StepOutline>>,
}

/// One step of an [`Outline`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepOutline {
    /// The step's name.
    pub name: String,
    /// Who does it; unknown where the definition is not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// How long its ask may stay unanswered, in milliseconds; a local step has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// What a passed deadline means unless an operator or the saga's own policy says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<OnTimeout>,
    /// Who takes it back; nobody where there is nothing to take back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Action>,
    /// When it is taken back, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_timing: Option<Timing>,
}

impl Definition {
    /// What people are shown of it.
    pub fn outline(&self) -> Outline {
        let stage = |steps: &Vec<Step>| steps.iter().map(StepOutline::of).collect();
        Outline {
            name: self.name().to_owned(),
            version: self.version(),
            stages: self.stages().iter().map(stage).collect(),
        }
    }
}

impl Outline {
    /// All that is known of a definition that is not registered: the steps of one of its sagas.
    pub fn of_state(name: &str, version: u32, state: &State) -> Self {
        let alone = |name: &str| {
            vec![StepOutline {
                name: name.to_owned(),
                action: None,
                deadline_ms: None,
                on_timeout: None,
                undo: None,
                undo_timing: None,
            }]
        };
        Self {
            name: name.to_owned(),
            version,
            stages: state.steps.iter().map(|step| alone(&step.name)).collect(),
        }
    }
}

impl StepOutline {
    fn of(step: &Step) -> Self {
        let is_ask = step.action() == Action::Ask;
        let undo = step.undoing().action();
        Self {
            name: step.name().to_owned(),
            action: Some(step.action()),
            deadline_ms: is_ask.then(|| milliseconds(step.time_allowed())),
            on_timeout: is_ask.then(|| step.timeout_policy()),
            undo,
            undo_timing: undo.map(|_| step.undoing().timing()),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
