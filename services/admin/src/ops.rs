//! The operator's verbs of this service, under `/ops`: what is in conflict with the monolith.

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{delete, get},
};
use chassis::{
    Problem,
    http::{Json, Path},
};
use contracts::http::Items;
use database::Database;
use uuid::Uuid;

use crate::store::conflicts::{self, Conflict};

/// `GET /ops/conflicts`, `DELETE /ops/conflicts/{id}`.
pub fn verbs(db: Database) -> Router {
    Router::new()
        .route("/conflicts", get(list))
        .route("/conflicts/{id}", delete(settle))
        .with_state(db)
}

async fn list(State(db): State<Database>) -> Result<Json<Items<Conflict>>, Problem> {
    let items = conflicts::list(&db).await?;
    Ok(Json(Items { items }))
}

/// Ours stays, and is not to be listed any more; a later edit there is a conflict again.
async fn settle(State(db): State<Database>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    let mut tx = db.begin().await?;
    if !conflicts::settle(&mut tx, id).await? {
        let detail = "This question is not in conflict.";
        return Err(Problem::not_found("conflict_not_found", detail));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
