//! The public paths of this service. No question leaves with its answer: the only way out is
//! [`Question::public`].

use axum::{Router, extract::State, routing::get};
use chassis::http::{Json, Path, Query};
use contracts::http::{Question as Body, QuestionPage};
use database::Database;
use uuid::Uuid;

use crate::{
    domain::{Filter, Question, RawFilter},
    error::Error,
    store::questions,
};

/// The public API, reading from `db`.
pub fn router(db: Database) -> Router {
    Router::new()
        .route("/api/questions", get(list))
        .route("/api/questions/random", get(random))
        .route("/api/questions/{id}", get(show))
        .with_state(db)
}

async fn list(
    State(db): State<Database>,
    Query(raw): Query<RawFilter>,
) -> Result<Json<QuestionPage>, Error> {
    let filter = Filter::parse(&raw).map_err(Error::Query)?;
    let (page, next_cursor) = filter.page(questions::list(&db, &filter).await?);
    let items = page.iter().map(Question::public).collect();
    Ok(Json(QuestionPage { items, next_cursor }))
}

async fn random(
    State(db): State<Database>,
    Query(raw): Query<RawFilter>,
) -> Result<Json<Body>, Error> {
    let filter = Filter::parse(&raw).map_err(Error::Query)?;
    let drawn = questions::drawn(&db, &filter, rand::random()).await?;
    Ok(Json(drawn.ok_or(Error::NotFound)?.public()))
}

async fn show(State(db): State<Database>, Path(id): Path<String>) -> Result<Json<Body>, Error> {
    // What is no id names no question either.
    let id = Uuid::try_parse(&id).map_err(|_| Error::NotFound)?;
    let found = questions::by_id(&db, id).await?;
    Ok(Json(found.ok_or(Error::NotFound)?.public()))
}
