//! Boards as they change.

use axum::{extract::State, response::Response};
use chassis::{
    http::{
        Query,
        live::{LastEventId, Live},
    },
    identity::OptionalCaller,
};
use contracts::{Period, QuizMode, http::Leaderboard};
use database::Database;

use super::{Api, now};
use crate::{
    domain::{Board, BoardQuery, Shown},
    error::Error,
    store::{self, boards},
};

/// Reads the boards that somebody watches, until the shutdown.
///
/// # Errors
/// Never; the type is that of a supervised task.
pub async fn watch(live: Live<(QuizMode, Period), Shown>, db: Database) -> anyhow::Result<()> {
    live.run(db.signal(store::CHANGED), |(quiz_mode, period)| {
        let db = db.clone();
        async move {
            let board = Board::at(quiz_mode, period, now());
            let begins = board.begins;
            let top = boards::top(&db, board).await?;
            Ok(Shown { begins, top })
        }
    })
    .await;
    Ok(())
}

/// The board, at once and whenever its best six change, as Server-Sent Events `leaderboard`; a
/// stream ends after 15 minutes, and goes on from `Last-Event-ID`.
#[utoipa::path(
    get, path = "/api/leaderboard/stream", operation_id = "leaderboard_stream",
    tag = "leaderboard",
    params(BoardQuery, ("Last-Event-ID" = Option<String>, Header,
        description = "The id of the last event seen; skips the first one where nothing changed.")),
    security((), ("bearer" = [])),
    responses((status = 200, description = "Events whose data is the board.",
        content_type = "text/event-stream", body = String))
)]
pub(super) async fn follow(
    State(api): State<Api>,
    OptionalCaller(caller): OptionalCaller,
    Query(query): Query<BoardQuery>,
    last: LastEventId,
) -> Result<Response, Error> {
    let board = query.board(now())?;
    let key = (board.quiz_mode, board.period);
    let watching = api.live.watch(key, last).await;
    let watching = watching.map_err(Error::Unwatchable)?;
    let (db, user_id) = (api.db, caller.map(|caller| caller.user_id));
    Ok(watching.events("leaderboard", move |snapshot| {
        let db = db.clone();
        async move {
            let board = Board {
                begins: snapshot.value.begins,
                ..board
            };
            let me = match user_id {
                Some(user_id) => boards::line(&db, board, user_id).await?,
                None => None,
            };
            Ok::<_, database::Error>(Leaderboard {
                quiz_mode: board.quiz_mode,
                period: board.period,
                top: snapshot.value.top.clone(),
                me,
            })
        }
    }))
}
