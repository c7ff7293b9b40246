use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chassis::{
    Problem,
    http::{Json, Path, Query},
    ops::Actor,
};
use contracts::http::Items;
use database::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{MAX_ITEMS, problem, unavailable};
use crate::{
    Consumers,
    consumer::{Parked, Retried, RetriedAll},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    consumer: Option<String>,
    limit: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Retrying {
    alone: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RetryingAll {
    after: i64,
}

/// A parked event without its payload.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    consumer: String,
    event_id: Uuid,
    position: i64,
    stream: String,
    #[serde(rename = "type")]
    event_type: String,
    error: String,
    attempts: i64,
    parked_at: Timestamp,
}

impl From<Parked> for Summary {
    fn from(parked: Parked) -> Self {
        Self {
            consumer: parked.consumer,
            event_id: parked.event_id,
            position: parked.position,
            stream: parked.stream,
            event_type: parked.event_type,
            error: parked.error,
            attempts: parked.attempts,
            parked_at: parked.parked_at,
        }
    }
}

pub(super) fn router(consumers: Consumers) -> Router {
    Router::new()
        .route("/dlq", get(list))
        .route("/dlq/{consumer}/retry", post(retry_all))
        .route("/dlq/{consumer}/{event_id}", get(show))
        .route("/dlq/{consumer}/{event_id}/retry", post(retry))
        .route("/dlq/{consumer}/{event_id}/discard", post(discard))
        .with_state(consumers)
}

async fn list(
    State(consumers): State<Consumers>,
    Query(listing): Query<Listing>,
) -> Result<Json<Items<Summary>>, Problem> {
    let limit = listing.limit.unwrap_or(100).clamp(1, MAX_ITEMS);
    let parked = consumers
        .parked(listing.consumer.as_deref(), limit)
        .await
        .map_err(unavailable)?;
    Ok(Json(Items {
        items: parked.into_iter().map(Into::into).collect(),
    }))
}

async fn show(
    State(consumers): State<Consumers>,
    Path((consumer, id)): Path<(String, Uuid)>,
) -> Result<Json<Parked>, Problem> {
    consumers
        .parked_event(&consumer, id)
        .await
        .map(Json)
        .map_err(problem)
}

async fn retry(
    State(consumers): State<Consumers>,
    Path((consumer, id)): Path<(String, Uuid)>,
    Query(Retrying { alone }): Query<Retrying>,
    Actor(actor): Actor,
) -> Result<Json<Retried>, Problem> {
    let retried = if alone {
        consumers.retry_alone(&consumer, id).await
    } else {
        consumers.retry(&consumer, id).await
    };
    let retried = retried.map_err(problem)?;
    tracing::warn!(consumer, event = %id, actor, alone, handled = retried.handled, "retried");
    Ok(Json(retried))
}

async fn retry_all(
    State(consumers): State<Consumers>,
    Path(consumer): Path<String>,
    Query(RetryingAll { after }): Query<RetryingAll>,
    Actor(actor): Actor,
) -> Result<Json<RetriedAll>, Problem> {
    let retried = consumers.retry_all(&consumer, after).await;
    let retried = retried.map_err(problem)?;
    let RetriedAll {
        handled, failed, ..
    } = retried;
    tracing::warn!(consumer, actor, handled, failed, "retried all");
    Ok(Json(retried))
}

async fn discard(
    State(consumers): State<Consumers>,
    Path((consumer, id)): Path<(String, Uuid)>,
    Actor(actor): Actor,
) -> Result<Json<Retried>, Problem> {
    let retried = consumers.discard(&consumer, id).await.map_err(problem)?;
    tracing::warn!(consumer, event = %id, actor, handled = retried.handled, "discarded");
    Ok(Json(retried))
}
