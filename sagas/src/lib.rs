//! Sagas: durable state machines that span services.

pub mod definition;
pub mod state;
pub mod transition;

pub use definition::{Action, Definition, DefinitionFault, OnTimeout, Retry, Step, Timing, Undo};
pub use state::{Outcome, Phase, Policy, Progress, State, StepState, Suspension, Timer, Undoing};
pub use transition::{Effect, End, IllegalMove, Input, Intervention, Resolution, Verb, transition};
