//! What an owner teaches the engine about one kind of saga: its definition, its local actions, the
//! events that ask participants, and how their replies read.

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::Tx;
use event_store::NewEvent;
use serde_json::Value;
use thiserror::Error;

use crate::{Saga, definition::Definition, transition::End};

/// One version of one kind of saga. Everything here runs inside the transition's transaction, may
/// be repeated after a roll-back, and must have no effect outside it.
#[async_trait]
pub trait Workflow: Send + Sync + 'static {
    /// The workflow. A change of it needs a new version; keep the old one registered until its
    /// last saga has ended.
    fn definition(&self) -> &Definition;

    /// The types of all events that [`Workflow::reply`] understands.
    fn reply_types(&self) -> &'static [&'static str];

    /// What an event says to the saga that it names; `None` when nothing.
    ///
    /// # Errors
    /// When the payload cannot be read; the event is then parked.
    fn reply(&self, event: &Recorded) -> Result<Option<Reply>, WorkflowError>;

    /// Does a local step. A workflow without local steps needs none of this.
    ///
    /// # Errors
    /// What it wrote is rolled back, alone, and it is run again as the step's retry policy says.
    async fn act(
        &self,
        _tx: &mut Tx,
        _saga: &Saga,
        step: &str,
    ) -> Result<LocalOutcome, WorkflowError> {
        Err(WorkflowError::Other(format!("nothing does {step} here")))
    }

    /// The event that asks a participant to do `step`; `None` when an event of an earlier step
    /// asks already. The engine adds saga, step, cause and an id that is the same on a repeat.
    ///
    /// # Errors
    /// The whole transition is rolled back.
    fn ask(&self, saga: &Saga, step: &str, attempt: u32)
    -> Result<Option<NewEvent>, WorkflowError>;

    /// Takes a local step back. A workflow without local undos needs none of this.
    ///
    /// # Errors
    /// As [`Workflow::act`], by the undo's retry policy.
    async fn undo(&self, _tx: &mut Tx, _saga: &Saga, step: &str) -> Result<(), WorkflowError> {
        let why = format!("nothing takes {step} back here");
        Err(WorkflowError::Other(why))
    }

    /// The event that asks a participant to take `step` back; `None` when an event that is out
    /// already asks for it. As [`Workflow::ask`]; later attempts should ask again.
    ///
    /// # Errors
    /// The whole transition is rolled back.
    fn undo_ask(
        &self,
        saga: &Saga,
        step: &str,
        attempt: u32,
    ) -> Result<Option<NewEvent>, WorkflowError>;

    /// The saga is over; the last effects, such as the event that says so. Nothing unless written.
    /// Not called for a saga that is abandoned while its definition is not registered.
    ///
    /// # Errors
    /// The whole transition is rolled back, and with it the end.
    async fn ended(&self, _tx: &mut Tx, _saga: &Saga, _end: End) -> Result<(), WorkflowError> {
        Ok(())
    }
}

/// What a participant's event says about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(crate) step: String,
    pub(crate) says: Says,
    pub(crate) result: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Done,
    Refused(String),
    Undone,
    UndoRefused(String),
}

impl Reply {
    /// The step was done.
    pub fn done(step: impl Into<String>) -> Self {
        Self::new(step, Says::Done)
    }

    /// The step was not done and will not be.
    pub fn refused(step: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(step, Says::Refused(reason.into()))
    }

    /// The step was taken back, or there was nothing to take back.
    pub fn undone(step: impl Into<String>) -> Self {
        Self::new(step, Says::Undone)
    }

    /// The step cannot be taken back: a person must look.
    pub fn undo_refused(step: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(step, Says::UndoRefused(reason.into()))
    }

    /// Keeps `result` with the step, for [`Saga::result`] and whoever waits for the saga.
    #[must_use]
    pub fn with(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    fn new(step: impl Into<String>, says: Says) -> Self {
        Self {
            step: step.into(),
            says,
            result: None,
        }
    }
}

/// How a local step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalOutcome {
    /// It was done; the value is kept with the step.
    Done(Option<Value>),
    /// It cannot be done, and left nothing behind: what it wrote is rolled back.
    Refused(String),
}

/// Why a workflow's code failed.
#[derive(Debug, Error)]
pub enum WorkflowError {
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// A payload or the saga's data cannot be read or written.
    #[error("unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Anything else; the text is for operators.
    #[error("{0}")]
    Other(String),
}

impl Saga {
    /// An event of this saga, for local actions, undos and [`Workflow::ended`]: its id, cause,
    /// correlation and trace are set. Add the stream and the aggregate.
    pub fn event<P: Payload>(&self, payload: &P) -> NewEvent {
        self.stamp(NewEvent::of(payload))
    }
}
