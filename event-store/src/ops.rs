//! What an operator sees and does over HTTP. Nest the router under `/ops`.
//!
//! | verb and path | what |
//! | --- | --- |
//! | GET `/consumers` | every consumer: checkpoint, lag, parked events, state |
//! | POST `/consumers/{name}/pause`, `/resume` | on all replicas |
//! | POST `/consumers/{name}/replay?after=&since=` | from the log's beginning, a position or a time |
//! | POST `/consumers/{name}/rebuild`, `/swap`, `/abandon` | a second copy beside the one in use |
//! | POST `/consumers/{name}/adopt?rewind=` | goes on with a log that was restored |
//! | GET `/dlq?consumer=&limit=` | parked events, oldest first |
//! | GET `/dlq/{consumer}/{event id}` | one of them, whole |
//! | POST `/dlq/{consumer}/{event id}/retry?alone=`, `/discard` | `{handled, error}` |
//! | POST `/dlq/{consumer}/retry?after=` | all that is parked, for some seconds: `{handled, failed, error, next}` |
//! | GET `/outbox` | `{service, unsent, oldestSeconds, stuck, items}`: the events that the log refused |
//! | POST `/outbox/{event id}/retry` | lets a stuck stream be tried again |
//! | GET `/events?after=&before=&since=&backward=&limit=&stream=&category=&types=a,b&correlation=&wait=` | read what fits all of these; `wait` seconds for a tail |
//! | GET `/log/epochs`; POST `/log/epochs` `{reason}` | the log's identities; a new one after a restore |
//! | POST `/log/backed-up` `{position}` | a backup up to there is safe |
//! | GET `/log/archive` | which events lie in files alone, and who keeps the others from it |
//! | GET `/log/blocking` | the transaction that last kept others from the log: `{last}` |
//! | POST `/log/readers/forget` `{reader, reason}` | a consumer that is no more keeps nothing |
//! | GET `/events/{event id}`, `/events/trace/{correlation}`, `/events/stats` | the log |
//! | GET `/personal/{subject}`; POST `/personal/{subject}/erase` `{reason}` | what is known of a person's key; erases it |
//! | POST `/personal/rotate` | seals all keys under the current master key: `{rotated}` |
//! | GET `/events/head?before=` | its identity and newest position; the newest one before a time |

mod archive;
mod consumers;
mod dlq;
mod epochs;
mod events;
mod outbox;
mod personal;

use axum::{Json, Router, routing::get};
use chassis::Problem;
use database::Database;
use serde_json::json;

use crate::{Consumers, Log, archive::ArchiveError, blocking::Blocking, consumer::OperatorError};

pub use archive::ArchiveState;
pub use events::{Stats, TypeCount};

/// Items in one list at most.
const MAX_ITEMS: u32 = 1_000;

/// The verbs of a service with consumers and an outbox.
pub fn service(consumers: Consumers, service: &'static str, database: Database) -> Router {
    Router::new()
        .merge(consumers::router(consumers.clone()))
        .merge(dlq::router(consumers))
        .merge(outbox::router(service, database))
}

/// What blocked the log last.
pub fn blocking(blocking: Blocking) -> Router {
    let last = move || std::future::ready(Json(json!({ "last": blocking.last() })));
    Router::new().route("/log/blocking", get(last))
}

/// The verbs of whoever holds the log.
pub fn log(log: Log) -> Router {
    events::router(log.clone())
        .merge(personal::router(log.clone()))
        .merge(archive::router(log.clone()))
        .merge(epochs::router(log))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unavailable(error: database::Error) -> Problem {
    let cause = std::error::Error::source(&error);
    if let Some(archive) = cause.and_then(|cause| cause.downcast_ref::<ArchiveError>()) {
        tracing::error!(error = %archive, "the log's archive cannot be read");
        return Problem::unavailable("dependency_unavailable", archive.to_string()).retry_after(1);
    }
    if error.is_transient() {
        Problem::dependency("database", &error)
    } else {
        Problem::internal(&error)
    }
}

fn problem(error: OperatorError) -> Problem {
    let detail = error.to_string();
    match error {
        OperatorError::UnknownConsumer(_) => Problem::not_found("no_such_consumer", detail),
        OperatorError::NotParked(_) => Problem::not_found("not_parked", detail),
        OperatorError::NotReplayable(_) => Problem::conflict("not_replayable", detail),
        OperatorError::NotRewindable(_) => Problem::conflict("not_rewindable", detail),
        OperatorError::NotBuiltBeside(_) => Problem::conflict("not_built_beside", detail),
        OperatorError::NotAdoptable(_) => Problem::conflict("not_adoptable", detail),
        OperatorError::Reset(_) => Problem::conflict("reset_failed", detail),
        OperatorError::Database(error) => unavailable(error),
    }
}
