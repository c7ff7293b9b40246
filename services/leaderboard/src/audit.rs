//! `/ops/audit`: what this service holds, for whoever compares it with the log.

use axum::{Router, extract::State, routing::get};
use chassis::{
    Problem,
    http::{Json, Query},
};
use contracts::audit::{Page, PageQuery, ScoredAnswer, ScoredEntry};
use database::Database;
use event_store::Consumers;
use sagas::participating::{self, Entry};
use service::audit::Wanted;
use uuid::Uuid;

use crate::{
    answers::{Effect, STEP},
    store::{self, Line},
};

#[derive(Clone)]
struct Books {
    db: Database,
    consumers: Consumers,
}

/// `/audit/answers` and `/audit/entries`, to be nested under `/ops`.
pub fn verbs(db: Database, consumers: Consumers) -> Router {
    Router::new()
        .route("/audit/answers", get(scored))
        .route("/audit/entries", get(entries))
        .with_state(Books { db, consumers })
}

async fn scored(
    State(books): State<Books>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ScoredAnswer>>, Problem> {
    let wanted = Wanted::when_caught_up(&books.consumers, query).await?;
    let after = wanted.cursor::<Uuid>()?;
    let rows = participating::page(&books.db, STEP, after, wanted.limit).await?;
    let next = rows
        .last()
        .map(|entry: &Entry<Effect>| entry.saga_id.to_string());
    let count = rows.len();
    let scored = |entry: Entry<Effect>| ScoredAnswer {
        // The quiz service gives an answer and its saga the same id.
        answer_id: entry.saga_id,
        user_id: entry.effect.credit.after.user_id,
        quiz_mode: entry.effect.quiz_mode,
        points: entry.effect.credit.points,
        state: entry.state,
    };
    Ok(Json(wanted.page(
        count,
        next,
        rows.into_iter().map(scored).collect(),
    )))
}

async fn entries(
    State(books): State<Books>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ScoredEntry>>, Problem> {
    let wanted = Wanted::when_caught_up(&books.consumers, query).await?;
    // The cursor is the last line's player and board.
    let cursor = wanted.after.clone().unwrap_or_default();
    let (user, quiz_mode) = cursor.split_once('/').unwrap_or_default();
    let after = (user.parse::<Uuid>().unwrap_or_default(), quiz_mode);
    let rows = store::page(&books.db, after, wanted.limit).await?;
    let next = rows
        .last()
        .map(|line| format!("{}/{}", line.user_id, line.quiz_mode));
    let items = rows.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Json(wanted.page(rows.len(), next, items)))
}

fn entry(line: &Line) -> Result<ScoredEntry, Problem> {
    Ok(ScoredEntry {
        user_id: line.user_id,
        quiz_mode: line
            .quiz_mode
            .parse()
            .map_err(|error| Problem::internal(&error))?,
        base_score: line.base,
        score: line.points,
    })
}
