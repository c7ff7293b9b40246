//! Questions one by one: reading, adding, replacing, deleting.

use ::admin::{
    domain::{PageOf, Question, RawListing, expected_version},
    error::Error,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{
    Problem,
    http::{Json, Path, Query},
};
use contracts::http::{CuratedPage, WriteQuestion};
use serde::Deserialize;
use uuid::Uuid;

use super::{super::App, Curator, writing};
use crate::store::curation;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/admin/questions", get(list).post(create))
        .route(
            "/api/admin/questions/{id}",
            get(show).put(replace).delete(delete),
        )
}

/// The version that a deletion was decided on.
#[derive(Deserialize)]
struct RawVersion {
    version: Option<i64>,
}

async fn list(
    State(app): State<App>,
    _: Curator,
    Query(raw): Query<RawListing>,
) -> Result<Json<CuratedPage>, Problem> {
    let page = PageOf::parse(&raw).map_err(Error::from)?;
    let found = curation::list(&app.db, &page.filter, page.after, page.rows()).await?;
    let (shown, next_cursor) = page.cut(found);
    let items = shown.iter().map(Question::curated).collect();
    Ok(Json(CuratedPage { items, next_cursor }))
}

async fn show(
    State(app): State<App>,
    _: Curator,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let found = curation::by_id(&app.db, id(&text)?).await?;
    Ok(told(StatusCode::OK, &found.ok_or(Error::NotFound)?))
}

async fn create(
    State(app): State<App>,
    _: Curator,
    Json(draft): Json<WriteQuestion>,
) -> Result<Response, Problem> {
    expected_version(draft.version, None).map_err(Error::Precondition)?;
    let question = writing::create(&app.db, &draft).await?;
    let mut response = told(StatusCode::CREATED, &question);
    if let Ok(place) = format!("/api/admin/questions/{}", question.id).parse() {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

async fn replace(
    State(app): State<App>,
    _: Curator,
    Path(text): Path<String>,
    headers: HeaderMap,
    Json(draft): Json<WriteQuestion>,
) -> Result<Response, Problem> {
    let id = id(&text)?;
    let if_match = if_match(&headers)?;
    let expected = expected_version(draft.version, if_match).map_err(Error::Precondition)?;
    let question = writing::replace(&app.db, id, expected, &draft).await?;
    Ok(told(StatusCode::OK, &question))
}

async fn delete(
    State(app): State<App>,
    _: Curator,
    Path(text): Path<String>,
    Query(raw): Query<RawVersion>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let id = id(&text)?;
    let if_match = if_match(&headers)?;
    let expected = expected_version(raw.version, if_match).map_err(Error::Precondition)?;
    writing::delete(&app.db, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no id names no question either.
fn id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::NotFound)
}

fn if_match(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    value
        .to_str()
        .map(Some)
        .map_err(|_| Error::unreadable_tag())
}

fn told(status: StatusCode, question: &Question) -> Response {
    let tag = [(header::ETAG, format!("\"{}\"", question.version))];
    (status, tag, Json(question.curated())).into_response()
}
