use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chassis::{Problem, http::Json, ops::Actor};
use contracts::http::Items;
use serde::{Deserialize, Serialize};

use super::unavailable;
use crate::{Log, log::Epoch};

/// A reason is shown in tables and kept for ever; longer ones belong into a ticket.
const MAX_REASON: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beginning {
    reason: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BackedUp {
    position: i64,
}

pub(super) fn router(log: Log) -> Router {
    Router::new()
        .route("/log/epochs", get(list).post(begin))
        .route("/log/backed-up", post(backed_up))
        .with_state(log)
}

async fn list(State(log): State<Log>) -> Result<Json<Items<Epoch>>, Problem> {
    let items = log.epochs().await.map_err(unavailable)?;
    Ok(Json(Items { items }))
}

async fn begin(
    State(log): State<Log>,
    Actor(actor): Actor,
    Json(Beginning { reason }): Json<Beginning>,
) -> Result<Json<Epoch>, Problem> {
    let reason = stated(&reason)?;
    let begun = log.begin_epoch(reason, &actor).await;
    let begun = begun.map_err(unavailable)?;
    tracing::warn!(actor, reason, epoch = %begun.epoch, position = begun.position,
        "the log has a new identity");
    Ok(Json(begun))
}

/// A reason as it is kept.
pub(super) fn stated(reason: &str) -> Result<&str, Problem> {
    let reason = reason.trim();
    if !(1..=MAX_REASON).contains(&reason.chars().count()) {
        let detail = format!("Say why, in {MAX_REASON} characters at most.");
        return Err(Problem::unprocessable("invalid_field", detail).field("reason"));
    }
    Ok(reason)
}

async fn backed_up(
    State(log): State<Log>,
    Actor(actor): Actor,
    Json(BackedUp { position }): Json<BackedUp>,
) -> Result<Json<BackedUp>, Problem> {
    let head = log.head().await.map_err(unavailable)?;
    if !(1..=head.position).contains(&position) {
        let detail = format!("The position must be 1 to the head, {}.", head.position);
        return Err(Problem::unprocessable("invalid_field", detail).field("position"));
    }
    let noted = log.backed_up(head.epoch, position).await;
    noted.map_err(unavailable)?;
    tracing::info!(actor, position, "a backup of the log is safe");
    let position = log.backed_up_to().await.map_err(unavailable)?;
    Ok(Json(BackedUp { position }))
}
