//! Questions by the file: bulk import and export.

use ::admin::{
    domain::{
        EXPORT_PAGE, Export, FILE_MAX, Filter, Format, Import, Question, RawExport, RawImport,
    },
    error::Error,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{
    Problem,
    http::{Json, Query},
};
use contracts::http::ImportReport;
use database::Database;
use futures::stream;
use uuid::Uuid;

use super::{super::App, Curator, writing};
use crate::store::curation;

pub(super) fn router() -> Router<App> {
    let import = post(import).layer(DefaultBodyLimit::max(FILE_MAX));
    Router::new()
        .route("/api/admin/questions/import", import)
        .route("/api/admin/questions/export", get(export))
}

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
    Ok(Json(writing::import(&app.db, import).await?))
}

async fn export(
    State(app): State<App>,
    _: Curator,
    Query(raw): Query<RawExport>,
) -> Result<Response, Problem> {
    let filter = raw.filter().map_err(Error::Query)?;
    let export = Export::new(raw.form().map_err(Error::Query)?);
    let db = app.db.clone();
    // The first page is read before the answer begins: a database that is down is a 503.
    let first = curation::list(&db, &filter, Uuid::nil(), EXPORT_PAGE).await?;
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
            let next = curation::list(&pages.db, &pages.filter, last.id, EXPORT_PAGE).await?;
            Ok(Some((bytes, Some((pages, Vec::new(), next)))))
        })
    }
}
