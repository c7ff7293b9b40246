//! The public paths of this service. No question leaves with its answer: the only way out is
//! [`Question::public`].
//!
//! What is the same for everybody carries an `ETag` and is revalidated; a draw is nobody else's and
//! is not kept.

use axum::{
    extract::{FromRef, State},
    http::header,
    middleware,
    response::IntoResponse,
};
use chassis::{
    Problem,
    http::{Json, Path, Query, conditional},
    identity::{OptionalCaller, Verifier},
};
use contracts::http::{CategoryList, Question as Body, QuestionPage, TagList};
use service::departed;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{Filter, Pool, Question, RawFilter, RawPool},
    error::Error,
    reader::{Random, Reader},
};

/// What the handlers work with.
#[derive(Clone)]
pub struct App {
    /// The bank.
    pub reader: Reader,
    /// Who draws.
    pub verifier: Verifier,
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}

/// The public API.
pub fn router(app: App) -> OpenApiRouter {
    routes().with_state(app)
}

/// What this service documents; the monolith answers the same paths.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<App> {
    let shared = OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(categories))
        .routes(routes!(tags))
        .routes(routes!(show))
        .route_layer(middleware::from_fn(conditional::revalidate));
    OpenApiRouter::new().routes(routes!(random)).merge(shared)
}

/// The questions, page by page: by id, or what is searched for, the best first.
#[utoipa::path(
    get, path = "/api/questions", operation_id = "questions_list", tag = "questions",
    params(RawFilter, ("If-None-Match" = Option<String>, Header, nullable = false,
        description = "Entity tags that the client has; with this answer's among them it gets 304.")),
    responses(
        (status = 200, body = QuestionPage, description = "A page.",
         headers(("ETag" = String, description = "Strong; names this answer."))),
        (status = 304, description = "The client has this answer.",
         headers(("ETag" = String, description = "Names this answer."))),
    )
)]
async fn list(
    State(app): State<App>,
    Query(raw): Query<RawFilter>,
) -> Result<Json<QuestionPage>, Error> {
    let filter = Filter::parse(&raw).map_err(Error::Query)?;
    let page = app.reader.page(&filter).await?;
    let (questions, next_cursor) = &*page;
    Ok(Json(QuestionPage {
        items: questions.iter().map(Question::public).collect(),
        next_cursor: next_cursor.clone(),
    }))
}

/// The categories that have questions, with their counts.
#[utoipa::path(
    get, path = "/api/questions/categories", operation_id = "questions_categories",
    tag = "questions",
    params(("If-None-Match" = Option<String>, Header, nullable = false,
        description = "Entity tags that the client has; with this answer's among them it gets 304.")),
    responses(
        (status = 200, body = CategoryList, description = "The categories.",
         headers(("ETag" = String, description = "Strong; names this answer."))),
        (status = 304, description = "The client has this answer.",
         headers(("ETag" = String, description = "Names this answer."))),
    )
)]
async fn categories(State(app): State<App>) -> Result<Json<CategoryList>, Error> {
    let items = app.reader.categories().await?.to_vec();
    Ok(Json(CategoryList { items }))
}

/// The tags that questions carry, the most used ones first, with their counts.
#[utoipa::path(
    get, path = "/api/questions/tags", operation_id = "questions_tags", tag = "questions",
    params(("If-None-Match" = Option<String>, Header, nullable = false,
        description = "Entity tags that the client has; with this answer's among them it gets 304.")),
    responses(
        (status = 200, body = TagList, description = "The tags.",
         headers(("ETag" = String, description = "Strong; names this answer."))),
        (status = 304, description = "The client has this answer.",
         headers(("ETag" = String, description = "Names this answer."))),
    )
)]
async fn tags(State(app): State<App>) -> Result<Json<TagList>, Error> {
    let items = app.reader.tags().await?.to_vec();
    Ok(Json(TagList { items }))
}

/// A random question. Whoever sends a token gets none twice from the same filter before all of its
/// questions came.
#[utoipa::path(
    get, path = "/api/questions/random", operation_id = "questions_random", tag = "questions",
    params(RawPool), security((), ("bearer" = [])),
    responses(
        (status = 200, body = Body, description = "A question of the filter."),
        (status = 404, description = "No question is of this filter."),
    )
)]
async fn random(
    State(app): State<App>,
    OptionalCaller(caller): OptionalCaller,
    Query(raw): Query<RawPool>,
) -> Result<impl IntoResponse, Problem> {
    let pool = Pool::parse(&raw).map_err(Error::Query)?;
    let user_id = caller.map(|caller| caller.user_id);
    match app.reader.random(&pool, user_id).await? {
        Random::Question(question) => {
            let headers = [(header::CACHE_CONTROL, "no-store")];
            Ok((headers, Json(question.public())))
        }
        Random::Nothing => Err(Error::NotFound.into()),
        Random::UserLeft => Err(departed::refusal()),
    }
}

/// A question.
#[utoipa::path(
    get, path = "/api/questions/{id}", operation_id = "questions_show", tag = "questions",
    params(("id" = Uuid, Path, description = "The question's id."),
        ("If-None-Match" = Option<String>, Header, nullable = false,
        description = "Entity tags that the client has; with this answer's among them it gets 304.")),
    responses(
        (status = 200, body = Body, description = "The question.",
         headers(("ETag" = String, description = "Strong; names this answer."))),
        (status = 304, description = "The client has this answer.",
         headers(("ETag" = String, description = "Names this answer."))),
        (status = 404, description = "There is no question with this id."),
    )
)]
async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Body>, Error> {
    // What is no id names no question either.
    let id = Uuid::try_parse(&id).map_err(|_| Error::NotFound)?;
    let found = app.reader.question(id).await?;
    Ok(Json(found.ok_or(Error::NotFound)?.public()))
}
