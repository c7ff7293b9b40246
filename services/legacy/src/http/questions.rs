//! Questions as players see them: never with the answer.

use auth::domain::Refusal;
use axum::{
    Router, extract::State, http::header, middleware, response::IntoResponse, routing::get,
};
use chassis::{
    Problem,
    http::{Json, Path, Query, conditional},
    identity::OptionalCaller,
};
use contracts::http::{CategoryList, Question as Body, QuestionPage, TagList};
use question::{
    domain::{Filter, Pool, Question, RawFilter, RawPool, one_of},
    error::Error,
};
use uuid::Uuid;

use super::App;
use crate::store::questions::{self, Draw};

/// Tries of a draw. A second one is needed when the question that was drawn has just gone.
const TRIES: usize = 3;

pub(super) fn router() -> Router<App> {
    let shared = Router::new()
        .route("/api/questions", get(list))
        .route("/api/questions/categories", get(categories))
        .route("/api/questions/tags", get(tags))
        .route("/api/questions/{id}", get(show))
        .route_layer(middleware::from_fn(conditional::revalidate));
    Router::new()
        .route("/api/questions/random", get(random))
        .merge(shared)
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

async fn categories(State(app): State<App>) -> Result<Json<CategoryList>, Error> {
    let items = questions::categories(&app.db).await?;
    Ok(Json(CategoryList { items }))
}

async fn tags(State(app): State<App>) -> Result<Json<TagList>, Error> {
    let items = questions::tags(&app.db).await?;
    Ok(Json(TagList { items }))
}

async fn random(
    State(app): State<App>,
    OptionalCaller(caller): OptionalCaller,
    Query(raw): Query<RawPool>,
) -> Result<impl IntoResponse, Problem> {
    let pool = Pool::parse(&raw).map_err(Error::Query)?;
    let user_id = caller.map(|caller| caller.user_id);
    for _ in 0..TRIES {
        let ids = questions::ids(&app.db, &pool).await?;
        let drawn = match user_id {
            None => one_of(&ids, rand::random()).map_or(Draw::Nothing, Draw::Question),
            Some(user) => questions::draw(&app.db, user, &pool, &ids, rand::random()).await?,
        };
        let id = match drawn {
            Draw::Question(id) => id,
            Draw::Nothing => return Err(Error::NotFound.into()),
            Draw::UserLeft => return Err(Refusal::AccountDeleted.into()),
        };
        if let Some(question) = questions::by_id(&app.db, id).await? {
            let headers = [(header::CACHE_CONTROL, "no-store")];
            return Ok((headers, Json(question.public())));
        }
    }
    Err(Error::NotFound.into())
}

async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Body>, Error> {
    // What is no id names no question either.
    let id = Uuid::try_parse(&id).map_err(|_| Error::NotFound)?;
    let found = questions::by_id(&app.db, id).await?;
    Ok(Json(found.ok_or(Error::NotFound)?.public()))
}
