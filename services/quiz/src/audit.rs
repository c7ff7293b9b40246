//! `/ops/audit`: what this service holds, for whoever compares it with the log.

use axum::{Router, extract::State, routing::get};
use chassis::{
    Problem,
    http::{Json, Query},
};
use contracts::{
    QuizMode,
    audit::{CountedStats, Page, PageQuery, RecordedAnswer},
};
use database::Database;
use event_store::Consumers;
use service::audit::Wanted;
use uuid::Uuid;

use crate::{
    domain::ModeStats,
    store::{
        answers::{self, Answer},
        stats::{self, Counted},
    },
};

#[derive(Clone)]
struct Books {
    db: Database,
    consumers: Consumers,
}

/// `/audit/answers` and `/audit/stats`, to be nested under `/ops`.
pub fn verbs(db: Database, consumers: Consumers) -> Router {
    Router::new()
        .route("/audit/answers", get(recorded))
        .route("/audit/stats", get(counted))
        .with_state(Books { db, consumers })
}

async fn recorded(
    State(books): State<Books>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RecordedAnswer>>, Problem> {
    let wanted = Wanted::when_caught_up(&books.consumers, query).await?;
    let rows = answers::page(&books.db, wanted.cursor::<Uuid>()?, wanted.limit).await?;
    let next = rows.last().map(|answer| answer.given.id.to_string());
    let count = rows.len();
    Ok(Json(wanted.page(
        count,
        next,
        rows.iter().map(recorded_answer).collect(),
    )))
}

async fn counted(
    State(books): State<Books>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<CountedStats>>, Problem> {
    let wanted = Wanted::when_caught_up(&books.consumers, query).await?;
    let rows = stats::page(&books.db, wanted.cursor::<Uuid>()?, wanted.limit).await?;
    let next = rows.last().map(|(user_id, _)| user_id.to_string());
    let items = rows
        .iter()
        .flat_map(|(user_id, counted)| by_mode(*user_id, counted))
        .collect();
    Ok(Json(wanted.page(rows.len(), next, items)))
}

fn recorded_answer(answer: &Answer) -> RecordedAnswer {
    RecordedAnswer {
        answer_id: answer.given.id,
        user_id: answer.given.user_id,
        quiz_mode: answer.given.quiz_mode,
        is_correct: answer.given.is_correct,
        points: answer.given.points,
        status: answer.status,
    }
}

/// The modes that the player has played, here or before.
fn by_mode(user_id: Uuid, counted: &Counted) -> impl Iterator<Item = CountedStats> {
    QuizMode::ALL.iter().filter_map(move |quiz_mode| {
        let base = counted.base.by_mode.of(*quiz_mode);
        let own = counted.own.by_mode.of(*quiz_mode);
        let played = [base, own].iter().any(|mode| *mode != ModeStats::default());
        played.then_some(CountedStats {
            user_id,
            quiz_mode: *quiz_mode,
            base_answered: base.answered,
            base_correct: base.correct,
            base_score: base.score,
            answered: own.answered,
            correct: own.correct,
            score: own.score,
        })
    })
}
