//! What can go wrong, and the one place that says what of it the client sees.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use serde_json::json;
use thiserror::Error;

use crate::domain::Fault;

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such question, or no longer.
    #[error("there is no such question")]
    NotFound,
    /// The query cannot be understood.
    #[error("the query has {} faults", .0.len())]
    Query(Vec<Fault>),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => {
                Self::not_found("question_not_found", "There is no question with this id.")
            }
            Error::Query(faults) => {
                let is_cursor = faults.iter().all(|fault| fault.field == "cursor");
                let code = if is_cursor {
                    "bad_cursor"
                } else {
                    "invalid_query"
                };
                named(Self::bad_request(code, told(&faults)), &faults)
            }
            Error::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// The faults as one text.
fn told(faults: &[Fault]) -> String {
    let texts: Vec<String> = faults.iter().map(Fault::to_string).collect();
    texts.join("; ")
}

/// `field` is the first faulty field; `faults` are all of them.
fn named(problem: Problem, faults: &[Fault]) -> Problem {
    let problem = problem.with("faults", json!(faults));
    match faults.first() {
        Some(first) => problem.field(first.field.clone()),
        None => problem,
    }
}
