//! What can go wrong, and the one place that says what of it the client sees. The same faults get
//! the same answers as from the services that legacy's capabilities move to.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use thiserror::Error;

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// About accounts.
    #[error(transparent)]
    Account(#[from] auth::error::Error),
    /// About curation.
    #[error(transparent)]
    Curation(#[from] admin::error::Error),
    /// About questions.
    #[error(transparent)]
    Question(#[from] question::error::Error),
    /// About answers.
    #[error(transparent)]
    Quiz(#[from] quiz::error::Error),
    /// An answer whose points no board can take: the rules contradict each other.
    #[error(transparent)]
    Board(#[from] leaderboard::domain::Refusal),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Account(error) => error.into(),
            Error::Curation(error) => error.into(),
            Error::Question(error) => error.into(),
            Error::Quiz(error) => error.into(),
            Error::Board(error) => Self::internal(&error),
            Error::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
