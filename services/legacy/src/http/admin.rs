//! The curators' side of the question bank.

use admin::{domain::Question, error::Error};
use auth::domain::role;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, put},
};
use chassis::{
    Problem,
    http::{Json, Path, Query},
    identity::Caller,
};
use contracts::http::{CuratedQuestion, WriteQuestion};
use database::Tx;
use question::domain::{Filter, RawFilter};
use serde::Serialize;
use uuid::Uuid;

use super::App;
use crate::store::{curation, questions};

/// A page of questions with their answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CuratedPage {
    items: Vec<CuratedQuestion>,
    next_cursor: Option<String>,
}

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/admin/questions", get(list).post(create))
        .route("/api/admin/questions/{id}", put(replace).delete(delete))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(raw): Query<RawFilter>,
) -> Result<Json<CuratedPage>, Problem> {
    caller.require_role(role::ADMIN)?;
    let filter = Filter::parse(&raw).map_err(question::error::Error::Query)?;
    let (page, next_cursor) = filter.page(questions::list(&app.db, &filter).await?);
    let items = page.into_iter().map(curated).collect();
    Ok(Json(CuratedPage { items, next_cursor }))
}

fn curated(question: question::domain::Question) -> CuratedQuestion {
    CuratedQuestion {
        id: question.id,
        text: question.text,
        category: question.category,
        difficulty: question.difficulty,
        choices: question.choices,
        correct_choice_id: question.correct_choice_id,
        tags: question.tags,
        version: question.version,
    }
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(draft): Json<WriteQuestion>,
) -> Result<(StatusCode, Json<CuratedQuestion>), Problem> {
    caller.require_role(role::ADMIN)?;
    let question = Question::new(Uuid::now_v7(), 1, &draft).map_err(Error::Draft)?;
    let mut tx = app.db.begin().await?;
    let now = tx.now().await?;
    curation::insert(&mut tx, &question, now).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(question.curated())))
}

async fn replace(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(draft): Json<WriteQuestion>,
) -> Result<Json<CuratedQuestion>, Problem> {
    caller.require_role(role::ADMIN)?;
    let id = parse(&id)?;
    let mut question = Question::new(id, 1, &draft).map_err(Error::Draft)?;
    let mut tx = app.db.begin().await?;
    question.version = shown(&mut tx, id).await?.version + 1;
    let now = tx.now().await?;
    curation::replace(&mut tx, &question, now).await?;
    tx.commit().await?;
    Ok(Json(question.curated()))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require_role(role::ADMIN)?;
    let id = parse(&id)?;
    let mut tx = app.db.begin().await?;
    let version = shown(&mut tx, id).await?.version + 1;
    let now = tx.now().await?;
    curation::hide(&mut tx, id, version, now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The question, locked; hidden ones are none.
async fn shown(tx: &mut Tx, id: Uuid) -> Result<Question, Error> {
    let stored = curation::lock(tx, id).await?;
    let shown = stored.filter(|stored| !stored.is_deleted);
    Ok(shown.ok_or(Error::NotFound)?.question)
}

/// What is no id names no question either.
fn parse(id: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(id).map_err(|_| Error::NotFound)
}
