//! `/ops/audit`: what this service holds, for whoever compares it with the log.
//!
//! A player's score is the sum of the points of the answers that the log has after the player's last
//! `user.stats.reset`. Bonus points are in neither.

use axum::{Router, extract::State, routing::get};
use chassis::{
    Problem,
    http::{Json, Query},
};
use contracts::audit::{Page, PageQuery, ScoredAnswer, ScoredEntry};
use database::Database;
use event_store::Consumers;
use sagas::{
    participant::Ledger,
    participating::{self, Entry},
};
use service::audit::Wanted;
use uuid::Uuid;

use crate::{
    answers::{Effect, STEP},
    domain::Board,
    store::boards::{self, Line},
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
        user_id: entry.effect.user_id,
        quiz_mode: entry.effect.quiz_mode,
        points: entry.effect.credit.points,
        state: entry.state,
    };
    let kept_since = Ledger.pruned_before(&books.db, STEP).await?;
    let page = wanted.page(count, next, rows.into_iter().map(scored).collect());
    Ok(Json(Page {
        kept_since: kept_since.map(Into::into),
        ..page
    }))
}

async fn entries(
    State(books): State<Books>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ScoredEntry>>, Problem> {
    let wanted = Wanted::when_caught_up(&books.consumers, query).await?;
    // The cursor is the last line's player and board.
    let cursor = wanted.after.clone().unwrap_or_default();
    let (user, board) = cursor.split_once('/').unwrap_or_default();
    let after = (
        user.parse::<Uuid>().unwrap_or_default(),
        board.parse().unwrap_or(-1),
    );
    let rows = boards::lines(&books.db, after, wanted.limit).await?;
    let next = rows
        .last()
        .map(|line| format!("{}/{}", line.user_id, line.board));
    let items = rows.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Json(wanted.page(rows.len(), next, items)))
}

fn entry(line: &Line) -> Result<ScoredEntry, Problem> {
    let board = Board::of_id(line.board)
        .ok_or_else(|| Problem::internal(&format!("there is no board {}", line.board)))?;
    Ok(ScoredEntry {
        user_id: line.user_id,
        quiz_mode: board.quiz_mode,
        base_score: line.base,
        score: line.points,
    })
}
