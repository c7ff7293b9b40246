//! Questions by the file: bulk import and export.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::{
    Problem,
    http::{Json, Query},
};
use contracts::http::{CuratedQuestion, ImportReport};
use database::Database;
use futures::stream;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};
use uuid::Uuid;

use super::{App, Curator};
use crate::{
    domain::{
        EXPORT_PAGE, Export, FILE_MAX, Filter, Format, Import, Question, RawExport, RawImport,
    },
    error::Error,
    store::questions,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    let import = routes!(import).layer::<_, Infallible>(DefaultBodyLimit::max(FILE_MAX));
    OpenApiRouter::new().routes(import).routes(routes!(export))
}

/// A JSON file. Each row is judged by itself, so a row of another shape costs that row alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "it describes bodies; reading them tells each row's line"
)]
enum QuestionFile {
    /// An object with the rows.
    Object(QuestionRows),
    /// The rows alone.
    Array(Vec<serde_json::Value>),
}

/// The rows of a file.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuestionRows {
    /// Questions as `GET /api/admin/questions/{id}` shows them; `id`, `tags` and `version` may be
    /// absent.
    #[schema(max_items = 20000)]
    questions: Vec<serde_json::Value>,
}

/// An export as JSON.
#[derive(Serialize, ToSchema)]
struct ExportedQuestions {
    /// All of them, in the order of their ids.
    questions: Vec<CuratedQuestion>,
}

/// Takes the good rows of a file and reports the others. Players see the new questions soon after
/// the answer. The same file again changes nothing.
#[utoipa::path(post, path = "/api/admin/questions/import", operation_id = "curation_import", tag = "curation",
    params(RawImport), security(("bearer" = [])),
    request_body(
        content((QuestionFile = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")),
        description = "UTF-8, 16 MiB and 20,000 rows at most. CSV has a header row with the columns \
            `text`, `category`, `difficulty`, `choiceA` to `choiceD`, `correct`, and where wanted \
            `id`, `version`, `tags` (separated by `|`) and `choiceAId` to `choiceDId`."),
    responses((status = 200, body = ImportReport, description = "What became of every row.")))]
async fn import(
    State(app): State<App>,
    _: Curator,
    Query(raw): Query<RawImport>,
    request: Request,
) -> Result<Json<ImportReport>, Problem> {
    let mode = raw.mode().map_err(Error::Query)?;
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let format = Format::of_media_type(kind).ok_or(Error::MediaType)?;
    let file =
        Bytes::from_request(request, &())
            .await
            .map_err(|refused| match refused.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Error::FileTooLarge,
                _ => Error::UnreadableFile,
            })?;
    let import = Import::open(file, format, mode).map_err(Error::File)?;
    Ok(Json(app.curation.import(import).await?))
}

/// Questions as a file, which the import takes back unchanged.
#[utoipa::path(get, path = "/api/admin/questions/export", operation_id = "curation_export", tag = "curation",
    params(RawExport), security(("bearer" = [])),
    responses((status = 200, description = "The file, to be saved.",
        headers(("Content-Disposition" = String, description = "A name for the file.")),
        content((ExportedQuestions = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")))))]
async fn export(
    State(app): State<App>,
    _: Curator,
    Query(raw): Query<RawExport>,
) -> Result<Response, Problem> {
    let filter = raw.filter().map_err(Error::Query)?;
    let export = Export::new(raw.form().map_err(Error::Query)?);
    let db = app.curation.db().clone();
    // The first page is read before the answer begins: a database that is down is a 503.
    let first = questions::list(&db, &filter, Uuid::nil(), EXPORT_PAGE).await?;
    let headers = [
        (header::CONTENT_TYPE, export.content_type()),
        (header::CONTENT_DISPOSITION, export.disposition()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let pages = Pages { db, filter, export };
    Ok((headers, Body::from_stream(pages.stream(first))).into_response())
}

/// A file that is written while it is sent: one page is in memory at a time.
struct Pages {
    db: Database,
    filter: Filter,
    export: Export,
}

impl Pages {
    fn stream(self, first: Vec<Question>) -> impl stream::Stream<Item = database::Result<Vec<u8>>> {
        let head = self.export.head();
        stream::try_unfold(Some((self, head, first)), async |state| {
            let Some((mut pages, mut bytes, page)) = state else {
                return Ok(None);
            };
            bytes.extend(pages.export.page(&page));
            let last = page.last().filter(|_| page.len() == EXPORT_PAGE);
            let Some(last) = last else {
                bytes.extend(pages.export.tail());
                return Ok(Some((bytes, None)));
            };
            let next = questions::list(&pages.db, &pages.filter, last.id, EXPORT_PAGE).await?;
            Ok(Some((bytes, Some((pages, Vec::new(), next)))))
        })
    }
}
