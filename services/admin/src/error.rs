//! What can go wrong, and the one place that says what of it the client sees.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use serde_json::json;
use thiserror::Error;

use crate::domain::{Fault, Question};

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such question, or no longer.
    #[error("there is no such question")]
    NotFound,
    /// The query cannot be understood.
    #[error("the query has {} faults", .0.len())]
    Query(Vec<Fault>),
    /// What is to be written is no valid question.
    #[error("the question has {} faults", .0.len())]
    Draft(Vec<Fault>),
    /// The edit was made on another version than the current one.
    #[error("the question is at version {}", .0.version)]
    Stale(Box<Question>),
    /// Another question has the same text and category.
    #[error("question {0} has the same text and category")]
    Duplicate(uuid::Uuid),
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
                named(Self::bad_request("invalid_query", told(&faults)), &faults)
            }
            Error::Draft(faults) => {
                named(Self::unprocessable("invalid_field", told(&faults)), &faults)
            }
            Error::Stale(current) => {
                let detail = "The question was changed since the version that this edit names.";
                Self::conflict("version_conflict", detail)
                    .field("version")
                    .with("currentVersion", current.version)
                    .with("current", json!(current.curated()))
            }
            Error::Duplicate(id) => {
                let detail = "Another question has the same text and category.";
                Self::conflict("duplicate_question", detail)
                    .field("text")
                    .with("existingId", id.to_string())
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
