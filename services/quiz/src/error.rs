//! What can go wrong, and the one place that says what of it the client sees.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use service::departed;
use thiserror::Error;
use uuid::Uuid;

use crate::domain::Refusal;

/// After a roll-back the participant is often still down; trying at once would only fail again.
const RETRY_AFTER_COMPENSATED: u64 = 5;

/// An undecided answer is decided within its saga's deadline in nearly all cases.
const RETRY_AFTER_IN_PROGRESS: u64 = 2;

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such question, or none any more.
    #[error("there is no question {0}")]
    UnknownQuestion(Uuid),
    /// There is no such answer, or none of the caller's.
    #[error("there is no answer {0} of yours")]
    UnknownAnswer(Uuid),
    /// The choice is none of the question's.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The Idempotency-Key is no usable text.
    #[error("the Idempotency-Key must be one header of 1 to 255 printable ASCII characters")]
    UnusableKey,
    /// The Idempotency-Key came before, with another body.
    #[error("this Idempotency-Key was used with another body")]
    KeyReused,
    /// The player's last answer is still undecided.
    #[error("your answer {0} is still being processed")]
    InProgress(Uuid),
    /// The answer was taken back: it counts nowhere.
    #[error("the answer could not be processed everywhere and was taken back; it counts nowhere")]
    Compensated {
        /// The answer.
        id: Uuid,
        /// Whether it came with an Idempotency-Key, which then stands for this outcome.
        keyed: Keyed,
    },
    /// The caller's account was deleted while the token is still good.
    #[error("this account was deleted")]
    AccountDeleted,
    /// The saga engine.
    #[error(transparent)]
    Saga(#[from] sagas::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Whether a request carried an Idempotency-Key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyed {
    /// It did.
    Yes,
    /// It did not.
    No,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = sentence(&error);
        match error {
            Error::UnknownQuestion(_) => {
                Self::not_found("question_not_found", text).field("questionId")
            }
            Error::UnknownAnswer(_) => Self::not_found("answer_not_found", text),
            Error::Refused(Refusal::UnknownChoice { .. }) => {
                Self::unprocessable("unknown_choice", text).field("choiceId")
            }
            Error::Refused(Refusal::UnusableChoice) => {
                Self::unprocessable("invalid_field", text).field("choiceId")
            }
            Error::UnusableKey => {
                Self::bad_request("idempotency_key_invalid", text).field("Idempotency-Key")
            }
            Error::KeyReused => {
                Self::unprocessable("idempotency_key_reused", text).field("Idempotency-Key")
            }
            Error::InProgress(id) => Self::conflict("answer_in_progress", text)
                .with("answerId", id.to_string())
                .retry_after(RETRY_AFTER_IN_PROGRESS),
            Error::Compensated { id, keyed } => {
                let advice = match keyed {
                    Keyed::Yes => " To try again, send it with a new Idempotency-Key.",
                    Keyed::No => " To try again, send it again.",
                };
                Self::unavailable("answer_compensated", text + advice)
                    .with("answerId", id.to_string())
                    .with("answerStatus", "compensated")
                    .retry_after(RETRY_AFTER_COMPENSATED)
            }
            Error::AccountDeleted => departed::refusal(),
            Error::Saga(error) if error.is_transient() => Self::dependency("database", &error),
            Error::Saga(error) => Self::internal(&error),
            Error::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// An error's text as a sentence: what `detail` holds.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
