//! `/ops/audit`: what this service holds, for whoever compares it with the log.

use axum::{Router, extract::State, routing::get};
use chassis::{
    Problem,
    http::{Json, Query},
};
use contracts::audit::{CheckedAnswer, CheckedPlayer, Page, PageQuery};
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
    store::{self, Audited},
};

#[derive(Clone)]
struct Books {
    db: Database,
    consumers: Consumers,
}

/// `/audit/answers` and `/audit/players`, to be nested under `/ops`.
pub fn verbs(db: Database, consumers: Consumers) -> Router {
    Router::new()
        .route("/audit/answers", get(checked))
        .route("/audit/players", get(players))
        .with_state(Books { db, consumers })
}

async fn checked(
    State(books): State<Books>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CheckedAnswer>>, Problem> {
    let wanted = Wanted::when_caught_up(&books.consumers, query).await?;
    let after = wanted.cursor::<Uuid>()?;
    let rows = participating::page(&books.db, STEP, after, wanted.limit).await?;
    let next = rows
        .last()
        .map(|entry: &Entry<Effect>| entry.saga_id.to_string());
    let count = rows.len();
    let checked = |entry: Entry<Effect>| CheckedAnswer {
        // The quiz service gives an answer and its saga the same id.
        answer_id: entry.saga_id,
        user_id: entry.effect.user_id,
        state: entry.state,
        badges: entry.effect.badges,
    };
    let kept_since = Ledger.pruned_before(&books.db, STEP).await?;
    let page = wanted.page(count, next, rows.into_iter().map(checked).collect());
    Ok(Json(Page {
        kept_since: kept_since.map(Into::into),
        ..page
    }))
}

async fn players(
    State(books): State<Books>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CheckedPlayer>>, Problem> {
    let wanted = Wanted::when_caught_up(&books.consumers, query).await?;
    let rows = store::page(&books.db, wanted.cursor::<Uuid>()?, wanted.limit).await?;
    let next = rows.last().map(|player| player.user_id.to_string());
    let count = rows.len();
    let player = |player: Audited| CheckedPlayer {
        user_id: player.user_id,
        base_answered: player.answered - player.answers,
        answered: player.answers,
        badges: player.badges,
    };
    Ok(Json(wanted.page(
        count,
        next,
        rows.into_iter().map(player).collect(),
    )))
}
