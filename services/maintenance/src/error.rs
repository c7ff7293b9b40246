//! What can go wrong, and the one place that says what of it the client sees.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use thiserror::Error;
use uuid::Uuid;

use crate::domain::{Fault, QueryFault};

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// No job has this name.
    #[error("there is no job with this name")]
    UnknownJob,
    /// No run has this id, or it is older than the history.
    #[error("there is no run with this id")]
    UnknownRun,
    /// The day has no report.
    #[error("there is no report of this day")]
    UnknownReport,
    /// Not a day.
    #[error("the day must be one such as 2026-03-29")]
    BadDay,
    /// What the job is told.
    #[error("{0}")]
    Orders(#[from] Fault),
    /// Another run of the job runs, or waits and was told something else.
    #[error("another run of this job is not over yet")]
    AlreadyRunning(Uuid),
    /// The Idempotency-Key is none.
    #[error("the Idempotency-Key must have 1 to 255 visible ASCII characters")]
    UnusableKey,
    /// The key came before, with other orders.
    #[error("this Idempotency-Key was used with another body")]
    KeyReused,
    /// The page that is asked for.
    #[error(transparent)]
    Query(#[from] QueryFault),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = sentence(&error);
        match error {
            Error::UnknownJob => Self::not_found("unknown_job", text),
            Error::UnknownRun => Self::not_found("run_not_found", text),
            Error::UnknownReport => Self::not_found("report_not_found", text),
            Error::BadDay => Self::unprocessable("invalid_field", text).field("day"),
            Error::Orders(fault) => Self::unprocessable("invalid_field", text).field(fault.field),
            Error::AlreadyRunning(id) => {
                Self::conflict("already_running", text).with("runId", id.to_string())
            }
            Error::UnusableKey => {
                Self::bad_request("idempotency_key_invalid", text).field("Idempotency-Key")
            }
            Error::KeyReused => {
                Self::unprocessable("idempotency_key_reused", text).field("Idempotency-Key")
            }
            Error::Query(QueryFault::Limit) => {
                Self::bad_request("invalid_query", text).field("limit")
            }
            Error::Query(QueryFault::Cursor(error)) => error.into(),
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
