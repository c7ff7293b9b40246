use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chassis::{Problem, http::Json, ops::Actor};
use database::params;
use serde::{Deserialize, Serialize};

use super::unavailable;
use crate::{
    Log,
    log::ArchivedRange,
    retention::{Hold, holds},
};

/// A reason is shown in logs; longer ones belong into a ticket.
const MAX_REASON: usize = 500;

/// Which events lie in files alone, and who keeps the others from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveState {
    /// The newest position.
    pub head: i64,
    /// Up to here everything is in a file, or else in a backup.
    pub backed_up_to: i64,
    /// Up to here everything lies in files alone.
    pub archived_to: i64,
    /// Who is how far: nothing above the lowest leaves the database. What is younger than the log
    /// process is told to keep does not either.
    pub holds: Vec<Hold>,
    /// The files, in the order of positions.
    pub items: Vec<ArchivedRange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgetting {
    reader: String,
    reason: String,
}

#[derive(Serialize)]
struct Forgotten {
    reader: String,
}

pub(super) fn router(log: Log) -> Router {
    Router::new()
        .route("/log/archive", get(show))
        .route("/log/readers/forget", post(forget))
        .with_state(log)
}

async fn show(State(log): State<Log>) -> Result<Json<ArchiveState>, Problem> {
    state(&log).await.map(Json).map_err(unavailable)
}

async fn state(log: &Log) -> Result<ArchiveState, database::Error> {
    let head = log.head().await?;
    let items = log.archived_ranges().await?;
    Ok(ArchiveState {
        head: head.position,
        backed_up_to: log.backed_up_to().await?,
        archived_to: items.last().map_or(0, |range| range.last),
        holds: holds::cursors(log, head.epoch).await?,
        items,
    })
}

/// A consumer that is no more holds nothing any longer.
async fn forget(
    State(log): State<Log>,
    Actor(actor): Actor,
    Json(Forgetting { reader, reason }): Json<Forgetting>,
) -> Result<Json<Forgotten>, Problem> {
    let length = reason.trim().chars().count();
    if !(1..=MAX_REASON).contains(&length) {
        let detail = format!("Say why, in {MAX_REASON} characters at most.");
        return Err(Problem::unprocessable("invalid_field", detail).field("reason"));
    }
    let sql = "DELETE FROM log_readers WHERE reader = $1";
    let gone = log.database().execute(sql, params![&reader]).await;
    if gone.map_err(unavailable)? == 0 {
        let detail = format!("No consumer {reader:?} has told the log how far it is.");
        return Err(Problem::not_found("no_such_consumer", detail));
    }
    tracing::warn!(actor, reader, reason, "a consumer holds no events any more");
    Ok(Json(Forgotten { reader }))
}
