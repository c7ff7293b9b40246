//! The public API: boards, their pages, a player's neighbourhood, and boards as they change.

mod stream;

use axum::extract::{FromRef, State};
use chassis::{
    http::{Json, Query, live::Live},
    identity::{Caller, OptionalCaller, Verifier},
};
use contracts::{
    Period, QuizMode,
    http::{Leaderboard, LeaderboardAround, LeaderboardPage},
};
use database::{Database, Timestamp};
use time::OffsetDateTime;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::stream::watch;
use crate::{
    domain::{BoardQuery, PageQuery, Shown},
    error::Error,
    store::boards,
};

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    /// The service's database.
    pub db: Database,
    /// Checks access tokens.
    pub verifier: Verifier,
    /// The boards that are watched.
    pub live: Live<(QuizMode, Period), Shown>,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

/// The public paths.
pub fn router(api: Api) -> OpenApiRouter {
    routes().with_state(api)
}

/// What this service documents; legacy answers the same paths.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(entries))
        .routes(routes!(around))
        .routes(routes!(stream::follow))
}

/// Which board counts now is for showing only; an answer's board is that of its event.
fn now() -> OffsetDateTime {
    Timestamp::system().into()
}

/// The best six of a board, and the caller's own line.
#[utoipa::path(
    get, path = "/api/leaderboard", operation_id = "leaderboard_show", tag = "leaderboard",
    params(BoardQuery), security((), ("bearer" = [])),
    responses((status = 200, body = Leaderboard))
)]
async fn show(
    State(api): State<Api>,
    OptionalCaller(caller): OptionalCaller,
    Query(query): Query<BoardQuery>,
) -> Result<Json<Leaderboard>, Error> {
    let board = query.board(now())?;
    let own_line = async {
        match caller {
            Some(caller) => boards::line(&api.db, board, caller.user_id).await,
            None => Ok(None),
        }
    };
    // Side by side: the player waits for the longer of the two.
    let (top, me) = tokio::try_join!(boards::top(&api.db, board), own_line)?;
    Ok(Json(Leaderboard {
        quiz_mode: board.quiz_mode,
        period: board.period,
        top,
        me,
    }))
}

/// A board, page by page. Places are those of the moment in which the page was read.
#[utoipa::path(
    get, path = "/api/leaderboard/entries", operation_id = "leaderboard_entries",
    tag = "leaderboard", params(PageQuery),
    responses((status = 200, body = LeaderboardPage))
)]
async fn entries(
    State(api): State<Api>,
    Query(query): Query<PageQuery>,
) -> Result<Json<LeaderboardPage>, Error> {
    let page = query.page(now())?;
    let read = boards::page(&api.db, page.board, page.after, page.limit).await?;
    Ok(Json(LeaderboardPage {
        quiz_mode: page.board.quiz_mode,
        period: page.board.period,
        items: read.items,
        next_cursor: read.next.map(|key| page.cursor(&key)),
    }))
}

/// The caller's own line, with the five above and the five below it.
#[utoipa::path(
    get, path = "/api/leaderboard/around", operation_id = "leaderboard_around",
    tag = "leaderboard", params(BoardQuery), security(("bearer" = [])),
    responses((status = 200, body = LeaderboardAround))
)]
async fn around(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<BoardQuery>,
) -> Result<Json<LeaderboardAround>, Error> {
    let board = query.board(now())?;
    let read = boards::around(&api.db, board, caller.user_id).await?;
    if read.me.is_none() && service::departed::left(&api.db, caller.user_id).await? {
        return Err(Error::Departed);
    }
    Ok(Json(LeaderboardAround {
        quiz_mode: board.quiz_mode,
        period: board.period,
        items: read.items,
        me: read.me,
    }))
}
