//! What can go wrong with a durable saga, by what the caller can do about it.

use event_store::HandlerError;
use thiserror::Error;
use uuid::Uuid;

use crate::{definition::DefinitionFault, transition::IllegalMove, workflow::WorkflowError};

/// Why the engine did not do it. The transaction must be rolled back.
#[derive(Debug, Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// A definition is faulty, or registered twice.
    #[error(transparent)]
    Definition(#[from] DefinitionFault),
    /// No workflow of this name and version is registered.
    #[error("no workflow {name} version {version} is registered")]
    NotRegistered {
        /// The definition's name.
        name: String,
        /// The definition's version, where one was asked for; 0 for any.
        version: u32,
    },
    /// A saga of this id exists already.
    #[error("saga {0} has been started already")]
    AlreadyStarted(Uuid),
    /// There is no saga of this id.
    #[error("there is no saga {0}")]
    NotFound(Uuid),
    /// The saga has moved on since the caller looked.
    #[error("saga {saga} is at version {actual}, not {expected}")]
    Moved {
        /// The saga.
        saga: Uuid,
        /// The version that the caller decided on.
        expected: i64,
        /// The version there is.
        actual: i64,
    },
    /// Somebody else moved the saga at the same moment.
    #[error("saga {0} was moved by somebody else at the same moment")]
    LostRace(Uuid),
    /// The input does not fit where the saga stands.
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// What a local step came to does not fit where the saga stands: a fault of this crate. Nothing
    /// of the transition may be kept.
    #[error("the outcome of a local step does not fit: {0}")]
    Diverged(IllegalMove),
    /// The workflow's own code failed.
    #[error("workflow code of {step} failed: {source}")]
    Workflow {
        /// The step, or the end's name.
        step: String,
        /// Why.
        source: WorkflowError,
    },
    /// What the database holds about this saga cannot be read.
    #[error("saga {saga} cannot be read: {source}")]
    Corrupt {
        /// The saga.
        saga: Uuid,
        /// Why.
        source: serde_json::Error,
    },
}

impl Error {
    /// Whether the same work may succeed when tried again later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error)
            | Self::Workflow {
                source: WorkflowError::Database(error),
                ..
            } => error.is_transient(),
            Self::LostRace(_) => true,
            _ => false,
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => error.into(),
            error if error.is_transient() => Self::transient(error),
            Error::Workflow { .. } => Self::unclear(error),
            _ => Self::poison(error),
        }
    }
}
