//! The public API: `GET /api/leaderboard`.

use axum::{
    Router,
    extract::{FromRef, State},
    routing::get,
};
use chassis::{
    Problem,
    http::{Json, Query},
    identity::{OptionalCaller, Verifier},
};
use contracts::{QuizMode, http::Leaderboard};
use database::Database;
use serde::Deserialize;

use crate::store;

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    /// The service's database.
    pub db: Database,
    /// Checks access tokens.
    pub verifier: Verifier,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

/// The public paths.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/api/leaderboard", get(show))
        .with_state(api)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Board {
    quiz_mode: QuizMode,
}

async fn show(
    State(api): State<Api>,
    OptionalCaller(caller): OptionalCaller,
    Query(Board { quiz_mode }): Query<Board>,
) -> Result<Json<Leaderboard>, Problem> {
    let top = store::top(&api.db, quiz_mode).await?;
    let me = match caller {
        Some(caller) => store::line(&api.db, quiz_mode, caller.user_id).await?,
        None => None,
    };
    Ok(Json(Leaderboard {
        quiz_mode,
        period: contracts::Period::AllTime,
        top,
        me,
    }))
}
