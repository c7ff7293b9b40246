use thiserror::Error;
use uuid::Uuid;

use crate::HandlerError;

/// Why personal fields could not be sealed or opened.
#[derive(Debug, Error)]
pub enum PersonalError {
    /// The log's database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// This process was given none.
    #[error(
        "the event has personal fields, and this process has no keys to seal them: set `personal_keys`"
    )]
    NoKeys,
    /// The payload says that it has personal fields and not whose they are.
    #[error("{0} has personal fields and no subject that they name")]
    NoSubject(String),
    /// A person's key is sealed under a master key that is not among the settings', or is not the one
    /// that it was sealed under.
    #[error("the key of {subject} does not open with `personal_keys`: {why}")]
    Master {
        /// Whose key it is.
        subject: String,
        /// What is wrong.
        why: String,
    },
    /// Not what was sealed, or not where it was sealed.
    #[error("the personal field {field} of event {event} is not what was sealed there")]
    Tampered {
        /// The event; nil for a snapshot.
        event: Uuid,
        /// The field's pointer.
        field: String,
    },
    /// The machine has no random numbers.
    #[error("no random numbers")]
    Randomness,
}

impl From<PersonalError> for database::Error {
    fn from(error: PersonalError) -> Self {
        match error {
            PersonalError::Database(error) => error,
            other => Self::Query(other.into()),
        }
    }
}

impl From<PersonalError> for HandlerError {
    /// What the settings lack comes with them; what was tampered with stays so.
    fn from(error: PersonalError) -> Self {
        match error {
            PersonalError::Database(error) => error.into(),
            PersonalError::NoKeys | PersonalError::Master { .. } | PersonalError::Randomness => {
                Self::transient(error)
            }
            PersonalError::NoSubject(_) | PersonalError::Tampered { .. } => Self::poison(error),
        }
    }
}

impl From<contracts::events::Unopened> for HandlerError {
    /// A setting is missing.
    fn from(error: contracts::events::Unopened) -> Self {
        Self::transient(error)
    }
}
