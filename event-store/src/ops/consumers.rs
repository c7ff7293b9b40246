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
use serde::Deserialize;

use super::{problem, unavailable};
use crate::{
    Consumers,
    consumer::{Beyond, ConsumerStatus, Start, second_of},
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Adopting {
    rewind: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Replaying {
    after: Option<i64>,
    since: Option<Timestamp>,
}

pub(super) fn router(consumers: Consumers) -> Router {
    Router::new()
        .route("/consumers", get(list))
        .route("/consumers/{name}/pause", post(pause))
        .route("/consumers/{name}/resume", post(resume))
        .route("/consumers/{name}/replay", post(replay))
        .route("/consumers/{name}/rebuild", post(rebuild))
        .route("/consumers/{name}/swap", post(swap))
        .route("/consumers/{name}/abandon", post(abandon))
        .route("/consumers/{name}/adopt", post(adopt))
        .with_state(consumers)
}

async fn list(State(consumers): State<Consumers>) -> Result<Json<Items<ConsumerStatus>>, Problem> {
    let items = consumers.list().await.map_err(unavailable)?;
    Ok(Json(Items { items }))
}

async fn pause(
    State(consumers): State<Consumers>,
    Path(name): Path<String>,
    Actor(actor): Actor,
) -> Result<Json<ConsumerStatus>, Problem> {
    consumers.pause(&name).await.map_err(problem)?;
    tracing::warn!(consumer = name, actor, "consumer paused");
    status(&consumers, &name).await
}

async fn resume(
    State(consumers): State<Consumers>,
    Path(name): Path<String>,
    Actor(actor): Actor,
) -> Result<Json<ConsumerStatus>, Problem> {
    consumers.resume(&name).await.map_err(problem)?;
    tracing::warn!(consumer = name, actor, "consumer resumed");
    status(&consumers, &name).await
}

async fn replay(
    State(consumers): State<Consumers>,
    Path(name): Path<String>,
    Query(Replaying { after, since }): Query<Replaying>,
    Actor(actor): Actor,
) -> Result<Json<ConsumerStatus>, Problem> {
    let start = match (after, since) {
        (None, None) => Start::Beginning,
        (Some(position), None) => Start::After(position),
        (None, Some(time)) => Start::At(time),
        (Some(_), Some(_)) => {
            let detail = "Give `after` or `since`, not both.";
            return Err(Problem::unprocessable("two_places", detail).field("since"));
        }
    };
    consumers.replay(&name, start).await.map_err(problem)?;
    tracing::warn!(
        consumer = name,
        actor,
        ?start,
        "consumer reads the log again"
    );
    status(&consumers, &name).await
}

async fn adopt(
    State(consumers): State<Consumers>,
    Path(name): Path<String>,
    Query(Adopting { rewind }): Query<Adopting>,
    Actor(actor): Actor,
) -> Result<Json<ConsumerStatus>, Problem> {
    let beyond = if rewind {
        Beyond::Rewind
    } else {
        Beyond::Refuse
    };
    consumers.adopt(&name, beyond).await.map_err(problem)?;
    tracing::warn!(
        consumer = name,
        actor,
        rewind,
        "consumer adopts the restored log"
    );
    status(&consumers, &name).await
}

async fn rebuild(
    State(consumers): State<Consumers>,
    Path(name): Path<String>,
    Actor(actor): Actor,
) -> Result<Json<ConsumerStatus>, Problem> {
    consumers.rebuild(&name).await.map_err(problem)?;
    tracing::warn!(consumer = name, actor, "a second copy is built beside");
    status(&consumers, &second_of(&name)).await
}

async fn swap(
    State(consumers): State<Consumers>,
    Path(name): Path<String>,
    Actor(actor): Actor,
) -> Result<Json<ConsumerStatus>, Problem> {
    consumers.swap(&name).await.map_err(problem)?;
    tracing::warn!(consumer = name, actor, "the second copy took its place");
    status(&consumers, &name).await
}

async fn abandon(
    State(consumers): State<Consumers>,
    Path(name): Path<String>,
    Actor(actor): Actor,
) -> Result<Json<ConsumerStatus>, Problem> {
    consumers.abandon(&name).await.map_err(problem)?;
    tracing::warn!(consumer = name, actor, "the second copy is given up");
    status(&consumers, &name).await
}

async fn status(consumers: &Consumers, name: &str) -> Result<Json<ConsumerStatus>, Problem> {
    let found = consumers.status(name).await.map_err(unavailable)?;
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found("no_such_consumer", format!("No consumer {name:?}.")))
}
