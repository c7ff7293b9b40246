//! Boards, their pages, a player's neighbourhood, and boards as they change.

use axum::{
    Router,
    extract::{FromRef, State},
    response::Response,
    routing::get,
};
use chassis::{
    Shutdown,
    http::{
        Json, Query,
        live::{LastEventId, Live},
    },
    identity::{Caller, OptionalCaller, Verifier},
};
use contracts::{
    Period, QuizMode,
    http::{Leaderboard, LeaderboardAround, LeaderboardPage},
};
use database::{Database, Timestamp};
use leaderboard::{
    domain::{self, Board, BoardQuery, PageQuery, Shown},
    error::Error,
};

use crate::store::boards;

/// Clients that may watch boards at the same time; as many as the service's default.
const MAX_STREAMS: usize = 1_000;

/// A signal that nobody raises: the monolith's boards are looked at every second.
const UNSIGNALLED: &str = "boards";

#[derive(Clone)]
struct Room {
    db: Database,
    verifier: Verifier,
    live: Live<(QuizMode, Period), Shown>,
}

impl FromRef<Room> for Verifier {
    fn from_ref(room: &Room) -> Self {
        room.verifier.clone()
    }
}

/// The paths about boards; reads what is watched until the shutdown.
pub(super) fn router(db: &Database, verifier: &Verifier, shutdown: Shutdown) -> Router {
    let live = Live::new(domain::watched(), MAX_STREAMS, shutdown);
    tokio::spawn(watch(live.clone(), db.clone()));
    let room = Room {
        db: db.clone(),
        verifier: verifier.clone(),
        live,
    };
    Router::new()
        .route("/api/leaderboard", get(show))
        .route("/api/leaderboard/entries", get(entries))
        .route("/api/leaderboard/around", get(around))
        .route("/api/leaderboard/stream", get(follow))
        .with_state(room)
}

async fn watch(live: Live<(QuizMode, Period), Shown>, db: Database) {
    live.run(db.signal(UNSIGNALLED), |(quiz_mode, period)| {
        let db = db.clone();
        async move {
            let board = Board::at(quiz_mode, period, Timestamp::system().into());
            let begins = board.begins;
            let top = boards::top(&db, board).await?;
            Ok(Shown { begins, top })
        }
    })
    .await;
}

async fn show(
    State(room): State<Room>,
    OptionalCaller(caller): OptionalCaller,
    Query(query): Query<BoardQuery>,
) -> Result<Json<Leaderboard>, Error> {
    let board = query.board(Timestamp::system().into())?;
    let top = boards::top(&room.db, board).await?;
    let me = match caller {
        Some(caller) => boards::line_of(&room.db, board, caller.user_id).await?,
        None => None,
    };
    Ok(Json(Leaderboard {
        quiz_mode: board.quiz_mode,
        period: board.period,
        top,
        me,
    }))
}

async fn entries(
    State(room): State<Room>,
    Query(query): Query<PageQuery>,
) -> Result<Json<LeaderboardPage>, Error> {
    let page = query.page(Timestamp::system().into())?;
    let (items, next) = boards::page(&room.db, &page).await?;
    Ok(Json(LeaderboardPage {
        quiz_mode: page.board.quiz_mode,
        period: page.board.period,
        items,
        next_cursor: next.map(|key| page.cursor(&key)),
    }))
}

async fn around(
    State(room): State<Room>,
    caller: Caller,
    Query(query): Query<BoardQuery>,
) -> Result<Json<LeaderboardAround>, Error> {
    let board = query.board(Timestamp::system().into())?;
    let items = boards::around(&room.db, board, caller.user_id).await?;
    let own = |line: &&contracts::http::LeaderboardEntry| line.user_id == caller.user_id;
    let me = items.iter().find(own).cloned();
    if me.is_none() && boards::has_left(&room.db, caller.user_id).await? {
        return Err(Error::Departed);
    }
    Ok(Json(LeaderboardAround {
        quiz_mode: board.quiz_mode,
        period: board.period,
        items,
        me,
    }))
}

async fn follow(
    State(room): State<Room>,
    OptionalCaller(caller): OptionalCaller,
    Query(query): Query<BoardQuery>,
    last: LastEventId,
) -> Result<Response, Error> {
    let board = query.board(Timestamp::system().into())?;
    let key = (board.quiz_mode, board.period);
    let watching = room.live.watch(key, last).await;
    let watching = watching.map_err(Error::Unwatchable)?;
    let (db, user_id) = (room.db, caller.map(|caller| caller.user_id));
    Ok(watching.events("leaderboard", move |snapshot| {
        let db = db.clone();
        async move {
            let begins = snapshot.value.begins;
            let board = Board { begins, ..board };
            let me = match user_id {
                Some(user_id) => boards::line_of(&db, board, user_id).await?,
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
