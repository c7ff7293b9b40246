//! Questions one by one: reading, adding, replacing, deleting.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    http::{Json, Path, Query},
};
use contracts::http::{CuratedPage, CuratedQuestion, WriteQuestion};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{App, Curator, id};
use crate::{
    curation::{Shown, Written},
    domain::{PageOf, Question, RawListing, expected_version},
    error::Error,
    store::questions,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, replace, delete))
}

/// The version that a deletion was decided on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RawVersion {
    /// The version that the deletion was decided on; absent deletes whatever is there.
    #[param(minimum = 1, maximum = 999999999999999_i64)]
    version: Option<i64>,
}

/// The version that an edit was made on; read by [`expected_version`].
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "it describes a header; faults of it are told in our own words"
)]
struct IfMatch {
    /// The version that the edit was made on, in quotes; also as `version` in the request itself.
    #[param(
        rename = "If-Match",
        nullable = false,
        pattern = "^(?:\\*|\"[1-9][0-9]{0,14}\")$"
    )]
    if_match: Option<String>,
}

/// Questions with their answers, page by page, in the order of their ids.
#[utoipa::path(get, path = "/api/admin/questions", operation_id = "curation_list", tag = "curation",
    params(RawListing), security(("bearer" = [])),
    responses((status = 200, body = CuratedPage, description = "A page.")))]
async fn list(
    State(app): State<App>,
    _: Curator,
    Query(raw): Query<RawListing>,
) -> Result<Json<CuratedPage>, Problem> {
    let page = PageOf::parse(&raw).map_err(Error::from)?;
    let db = app.curation.db();
    let found = questions::list(db, &page.filter, page.after, page.rows()).await?;
    let (shown, next_cursor) = page.cut(found);
    let items = shown.iter().map(Question::curated).collect();
    Ok(Json(CuratedPage { items, next_cursor }))
}

/// A question with its answer, as it was written last.
#[utoipa::path(get, path = "/api/admin/questions/{id}", operation_id = "curation_show", tag = "curation",
    params(("id" = uuid::Uuid, Path, description = "The question.")), security(("bearer" = [])),
    responses((status = 200, body = CuratedQuestion, description = "The question.",
        headers(("ETag" = String, description = "Its version in quotes, for `If-Match`.")))))]
async fn show(
    State(app): State<App>,
    _: Curator,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let found = questions::by_id(app.curation.db(), id(&text)?).await?;
    let question = found.ok_or(Error::NotFound)?;
    Ok(told(StatusCode::OK, &question))
}

/// Adds a question.
#[utoipa::path(post, path = "/api/admin/questions", operation_id = "curation_create", tag = "curation",
    request_body = WriteQuestion, security(("bearer" = [])),
    responses(
        (status = 201, body = CuratedQuestion, description = "It is there, and players see it.",
            headers(("Location" = String, description = "The question."), ("ETag" = String, description = "Its version in quotes."))),
        (status = 202, body = CuratedQuestion, description = "It is written; players do not see it yet.",
            headers(("Location" = String, description = "The question."), ("ETag" = String, description = "Its version in quotes."))),
        (status = 409, description = "A question with this text and category is there (`duplicate_question`, with its id as `existingId`).")))]
async fn create(
    State(app): State<App>,
    _: Curator,
    Json(draft): Json<WriteQuestion>,
) -> Result<Response, Problem> {
    // A new question has no version to be made on, but what is named must be one.
    expected_version(draft.version, None).map_err(Error::Precondition)?;
    let written = app.curation.create(&draft).await?;
    let mut response = answered(StatusCode::CREATED, &written);
    locate(&mut response, &written.question);
    Ok(response)
}

/// Replaces a question by another content.
#[utoipa::path(put, path = "/api/admin/questions/{id}", operation_id = "curation_replace", tag = "curation",
    params(("id" = uuid::Uuid, Path, description = "The question."), IfMatch),
    request_body = WriteQuestion, security(("bearer" = [])),
    responses(
        (status = 200, body = CuratedQuestion, description = "It is changed, and players see it.",
            headers(("ETag" = String, description = "Its version in quotes."))),
        (status = 202, body = CuratedQuestion, description = "It is written; players do not see it yet.",
            headers(("Location" = String, description = "The question."), ("ETag" = String, description = "Its version in quotes."))),
        (status = 409, description = "The question has another version now (`version_conflict`, with `currentVersion` and `current`), or another question has this text and category (`duplicate_question`).")))]
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
    let written = app.curation.replace(id, expected, &draft).await?;
    let mut response = answered(StatusCode::OK, &written);
    if written.shown == Shown::NotYet {
        locate(&mut response, &written.question);
    }
    Ok(response)
}

/// Deletes a question.
#[utoipa::path(delete, path = "/api/admin/questions/{id}", operation_id = "curation_delete", tag = "curation",
    params(("id" = uuid::Uuid, Path, description = "The question."), RawVersion, IfMatch),
    security(("bearer" = [])),
    responses(
        (status = 202, description = "It is deleted; players may still see it for a moment."),
        (status = 204, description = "It is deleted, and players do not see it any more."),
        (status = 409, description = "The question has another version now (`version_conflict`)."),
        (status = 422, description = "The version is out of bounds.")))]
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
    Ok(match app.curation.delete(id, expected).await? {
        Shown::Yes => StatusCode::NO_CONTENT,
        Shown::NotYet => StatusCode::ACCEPTED,
    })
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

fn answered(done: StatusCode, written: &Written) -> Response {
    let status = match written.shown {
        Shown::Yes => done,
        Shown::NotYet => StatusCode::ACCEPTED,
    };
    told(status, &written.question)
}

fn told(status: StatusCode, question: &Question) -> Response {
    let tag = [(header::ETAG, format!("\"{}\"", question.version))];
    (status, tag, Json(question.curated())).into_response()
}

fn locate(response: &mut Response, question: &Question) {
    let place = format!("/api/admin/questions/{}", question.id);
    if let Ok(place) = place.parse() {
        response.headers_mut().insert(header::LOCATION, place);
    }
}
