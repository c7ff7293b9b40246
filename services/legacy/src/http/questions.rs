//! Questions as players see them: never with the answer.

use axum::{Router, extract::State, routing::get};
use chassis::http::{Json, Path, Query};
use contracts::http::{Question as Body, QuestionPage};
use question::{
    domain::{Filter, Question, RawFilter},
    error::Error,
};
use uuid::Uuid;

use super::App;
use crate::store::questions;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/questions", get(list))
        .route("/api/questions/random", get(random))
        .route("/api/questions/{id}", get(show))
}

async fn list(
    State(app): State<App>,
    Query(raw): Query<RawFilter>,
) -> Result<Json<QuestionPage>, Error> {
    let filter = Filter::parse(&raw).map_err(Error::Query)?;
    let (page, next_cursor) = filter.page(questions::list(&app.db, &filter).await?);
    let items = page.iter().map(Question::public).collect();
    Ok(Json(QuestionPage { items, next_cursor }))
}

async fn random(State(app): State<App>, Query(raw): Query<RawFilter>) -> Result<Json<Body>, Error> {
    let filter = Filter::parse(&raw).map_err(Error::Query)?;
    let drawn = questions::drawn(&app.db, &filter, rand::random()).await?;
    Ok(Json(drawn.ok_or(Error::NotFound)?.public()))
}

async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Body>, Error> {
    // What is no id names no question either.
    let id = Uuid::try_parse(&id).map_err(|_| Error::NotFound)?;
    let found = questions::by_id(&app.db, id).await?;
    Ok(Json(found.ok_or(Error::NotFound)?.public()))
}
