//! Sagas: durable state machines that span services.
//!
//! - [`definition`]: what a workflow looks like; code that reads like the workflow.
//! - [`state`] and [`transition()`]: the pure core, the same for live work, recovery and tests.
//! - [`Workflow`] and [`Engine`]: the owner's side; every transition is one transaction.
//! - [`participant`]: the other side; a ledger that makes repeats harmless.
//! - [`participating`]: a participant as a consumer that uses the ledger.
//! - [`picture`]: a definition, and one saga's way through it, drawn.
//! - [`simulation`]: a definition, run against scripted replies on a virtual clock.
//!
//! Invariants: a late reply never changes what a saga has decided; every step that may have
//! started is undone when it turns back; it ends, or says that it needs a person.

mod clock;
pub mod definition;
mod embedded;
mod engine;
mod error;
mod metrics;
mod ops;
mod outline;
pub mod participant;
pub mod participating;
mod payloads;
pub mod picture;
mod saga;
pub mod simulation;
pub mod state;
mod store;
mod trace;
pub mod transition;
mod workflow;

pub use clock::{Clock, DatabaseClock, ManualClock};
pub use definition::{Action, Definition, DefinitionFault, OnTimeout, Retry, Step, Timing, Undo};
pub use embedded::Embedded;
pub use engine::{CONSUMER, Engine, NewSaga, Options, PolicyChange, Replies, Waiter};
pub use error::Error;
pub use metrics::Metrics;
pub use outline::{Outline, StepOutline};
pub use saga::Saga;
pub use state::{Outcome, Phase, Policy, Progress, State, StepState, Suspension, Timer, Undoing};
pub use store::migrations;
pub use transition::{Effect, End, IllegalMove, Input, Intervention, Resolution, Verb, transition};
pub use workflow::{LocalOutcome, Reply, Workflow, WorkflowError};
