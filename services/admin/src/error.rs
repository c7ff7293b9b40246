//! What can go wrong, and the one place that says what of it the client sees.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{Problem, http::cursor::BadCursor};
use serde_json::json;
use thiserror::Error;

use crate::domain::{FILE_MAX, Fault, FileFault, IF_MATCH, ListingError, Question, ROWS_MAX};

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such question, or no longer.
    #[error("there is no such question")]
    NotFound,
    /// The query cannot be understood.
    #[error("the query has {} faults", .0.len())]
    Query(Vec<Fault>),
    /// The cursor is none of the list's.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// The version that an edit was made on is none.
    #[error("{0}")]
    Precondition(Fault),
    /// An import of something that is no file of questions.
    #[error("the body is of no type that an import reads")]
    MediaType,
    /// An import of too much.
    #[error("the file is too large")]
    FileTooLarge,
    /// A body that ended early.
    #[error("the file cannot be read to its end")]
    UnreadableFile,
    /// Nothing of the file can be used.
    #[error(transparent)]
    File(FileFault),
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
            Error::Cursor(error) => error.into(),
            Error::Precondition(fault) if fault.field == IF_MATCH => {
                Self::bad_request("invalid_header", fault.to_string()).field(fault.field)
            }
            Error::Precondition(fault) => {
                Self::unprocessable("invalid_field", fault.to_string()).field(fault.field)
            }
            Error::MediaType => {
                let detail = "The body must be application/json, application/x-ndjson or \
                              text/csv, in UTF-8.";
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Self::with_status(status, "unsupported_media_type", detail)
            }
            Error::FileTooLarge => {
                let detail = format!("A file has at most {FILE_MAX} bytes.");
                Self::with_status(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
            }
            Error::UnreadableFile => {
                let detail = "The body ended early or cannot be read.";
                Self::bad_request("unreadable_body", detail)
            }
            Error::File(fault) => file_problem(fault),
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

impl Error {
    /// An `If-Match` that is no text.
    pub fn unreadable_tag() -> Self {
        Self::Precondition(Fault::new(IF_MATCH, "is no text"))
    }
}

impl From<ListingError> for Error {
    fn from(error: ListingError) -> Self {
        match error {
            ListingError::Faults(faults) => Self::Query(faults),
            ListingError::Cursor(error) => Self::Cursor(error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

fn file_problem(fault: FileFault) -> Problem {
    match fault {
        FileFault::Malformed(detail) => Problem::bad_request("malformed_file", detail),
        FileFault::Encoding(line) => {
            let detail = format!("The file is not UTF-8 text from line {line} on.");
            Problem::bad_request("unsupported_encoding", detail).with("line", line)
        }
        FileFault::Shape(fault) => {
            Problem::unprocessable("invalid_field", fault.to_string()).field(fault.field)
        }
        FileFault::TooManyRows => {
            let detail = format!("A file has at most {ROWS_MAX} rows.");
            Problem::unprocessable("too_many_rows", detail).field("questions")
        }
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
