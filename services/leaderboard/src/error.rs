//! What can go wrong, and the one place that says what of it the client sees.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use thiserror::Error;

use crate::domain::Fault;

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// The query cannot be understood.
    #[error(transparent)]
    Query(#[from] Fault),
    /// The caller's account is gone.
    #[error("the account was deleted")]
    Departed,
    /// The board cannot be watched now.
    #[error("the board cannot be watched now")]
    Unwatchable(Problem),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(fault) => refused(fault),
            Error::Departed => service::departed::refusal(),
            Error::Unwatchable(problem) => problem,
            Error::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// What is told of a query that cannot be understood.
#[must_use]
pub fn refused(fault: Fault) -> Problem {
    let field = match fault {
        Fault::Cursor(cursor) => return cursor.into(),
        Fault::NoMode => "quizMode",
        Fault::Limit => "limit",
    };
    Problem::bad_request("invalid_query", format!("The {fault}.")).field(field)
}
