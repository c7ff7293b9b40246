//! What the monolith shows an auditor, page by page. It has no log, so it names no position.

use axum::{Router, extract::State, routing::get};
use chassis::{
    Problem,
    http::{Json, Query},
};
use contracts::audit::{CheckedPlayer, CountedStats, Page, PageQuery, RecordedAnswer, ScoredEntry};
use database::Database;

use crate::store::audit::{self, BoardPlace, Bounds};

/// Items of a page, when the auditor does not say.
const LIMIT_DEFAULT: u32 = 500;

/// Items of a page at most: it is one response body.
const LIMIT_MAX: u32 = 1_000;

/// The operator's verbs, to be put under `/ops`.
pub fn verbs(db: Database) -> Router {
    Router::new()
        .route("/audit/answers", get(answers))
        .route("/audit/stats", get(stats))
        .route("/audit/entries", get(entries))
        .route("/audit/players", get(players))
        .with_state(db)
}

type Audited<T> = Result<Json<Page<T>>, Problem>;

async fn answers(
    State(db): State<Database>,
    Query(query): Query<PageQuery>,
) -> Audited<RecordedAnswer> {
    let bounds = bounds(&query, |text| text.parse().ok())?;
    let items = audit::answers(&db, &bounds).await?;
    Ok(page(items, bounds.limit, |last| last.answer_id.to_string()))
}

async fn stats(
    State(db): State<Database>,
    Query(query): Query<PageQuery>,
) -> Audited<CountedStats> {
    let bounds = bounds(&query, BoardPlace::parse)?;
    let items = audit::stats(&db, &bounds).await?;
    Ok(page(items, bounds.limit, |last| {
        BoardPlace::text(last.user_id, last.quiz_mode)
    }))
}

async fn entries(
    State(db): State<Database>,
    Query(query): Query<PageQuery>,
) -> Audited<ScoredEntry> {
    let bounds = bounds(&query, BoardPlace::parse)?;
    let items = audit::entries(&db, &bounds).await?;
    Ok(page(items, bounds.limit, |last| {
        BoardPlace::text(last.user_id, last.quiz_mode)
    }))
}

async fn players(
    State(db): State<Database>,
    Query(query): Query<PageQuery>,
) -> Audited<CheckedPlayer> {
    let bounds = bounds(&query, |text| text.parse().ok())?;
    let items = audit::players(&db, &bounds).await?;
    Ok(page(items, bounds.limit, |last| last.user_id.to_string()))
}

fn bounds<T: Default>(
    query: &PageQuery,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Bounds<T>, Problem> {
    let wrong =
        |field: &str, text: String| Problem::bad_request("invalid_query", text).field(field);
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(wrong(
            "limit",
            format!("The limit must be 1 to {LIMIT_MAX}."),
        ));
    }
    let after = match &query.after {
        None => T::default(),
        Some(text) => parse(text)
            .ok_or_else(|| wrong("after", "This is no cursor of this list.".to_owned()))?,
    };
    Ok(Bounds { after, limit })
}

fn page<T>(items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Json<Page<T>> {
    let is_full = u32::try_from(items.len()).is_ok_and(|count| count >= limit);
    let next_cursor = items.last().filter(|_| is_full).map(cursor);
    Json(Page {
        position: None,
        kept_since: None,
        items,
        next_cursor,
    })
}
