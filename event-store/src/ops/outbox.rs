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
use database::Database;
use serde::Serialize;
use uuid::Uuid;

use super::{MAX_ITEMS, unavailable};
use crate::relay::{OutboxStatus, Stuck, clear_error, status, stuck};

#[derive(Clone)]
struct Outbox {
    service: &'static str,
    database: Database,
}

#[derive(Serialize)]
struct Report {
    service: &'static str,
    #[serde(flatten)]
    status: OutboxStatus,
    items: Vec<Stuck>,
}

pub(super) fn router(service: &'static str, database: Database) -> Router {
    Router::new()
        .route("/outbox", get(show))
        .route("/outbox/{event_id}/retry", post(retry))
        .with_state(Outbox { service, database })
}

async fn show(State(outbox): State<Outbox>) -> Result<Json<Report>, Problem> {
    let status = status(&outbox.database).await.map_err(unavailable)?;
    let items = stuck(&outbox.database, MAX_ITEMS)
        .await
        .map_err(unavailable)?;
    Ok(Json(Report {
        service: outbox.service,
        status,
        items,
    }))
}

async fn retry(
    State(outbox): State<Outbox>,
    Path(id): Path<Uuid>,
    Actor(actor): Actor,
) -> Result<Json<OutboxStatus>, Problem> {
    if !clear_error(&outbox.database, id)
        .await
        .map_err(unavailable)?
    {
        return Err(Problem::not_found(
            "not_stuck",
            format!("Event {id} is not stuck."),
        ));
    }
    tracing::warn!(service = outbox.service, event = %id, actor, "stuck stream is tried again");
    status(&outbox.database)
        .await
        .map(Json)
        .map_err(unavailable)
}
