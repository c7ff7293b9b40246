use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chassis::{
    Problem,
    http::{Json, Path},
    ops::Actor,
};
use serde::{Deserialize, Serialize};

use super::{epochs::stated, unavailable};
use crate::{
    AppendError, Log,
    personal::{Erasure, PersonalError, Status},
};

/// Ids of people are far shorter.
const MAX_SUBJECT: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erasing {
    reason: String,
}

#[derive(Serialize)]
struct Rotated {
    /// Keys that were sealed anew.
    rotated: u64,
}

pub(super) fn router(log: Log) -> Router {
    Router::new()
        .route("/personal/rotate", post(rotate))
        .route("/personal/{subject}", get(status))
        .route("/personal/{subject}/erase", post(erase))
        .with_state(log)
}

async fn status(
    State(log): State<Log>,
    Path(subject): Path<String>,
) -> Result<Json<Status>, Problem> {
    let status = log.personal().status(&subject).await;
    status.map(Json).map_err(unavailable)
}

async fn erase(
    State(log): State<Log>,
    Path(subject): Path<String>,
    Actor(actor): Actor,
    Json(Erasing { reason }): Json<Erasing>,
) -> Result<Json<Erasure>, Problem> {
    let reason = stated(&reason)?;
    if subject.len() > MAX_SUBJECT || subject.contains('\0') {
        let detail = format!("A subject has {MAX_SUBJECT} characters at most.");
        return Err(Problem::unprocessable("invalid_field", detail).field("subject"));
    }
    let erased = log.erase_personal(&subject, &actor, reason).await;
    erased.map(Json).map_err(|error| match error {
        AppendError::Unavailable(cause) if !cause.is_transient() => Problem::internal(&*cause),
        error if error.is_transient() => Problem::dependency("log", &error),
        error => Problem::internal(&error),
    })
}

async fn rotate(State(log): State<Log>, Actor(actor): Actor) -> Result<Json<Rotated>, Problem> {
    let rotated = log.personal().rotate().await.map_err(|error| match error {
        PersonalError::Database(error) => unavailable(error),
        // What the operator has to mend is in the text; it holds no key.
        error => Problem::conflict("not_rotated", error.to_string()),
    })?;
    tracing::warn!(
        actor,
        rotated,
        "people's keys are sealed under the current master key"
    );
    Ok(Json(Rotated { rotated }))
}
