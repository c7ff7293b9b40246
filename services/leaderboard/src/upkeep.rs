//! What keeps the boards in order: the first version's rows are moved to them, and the counted trees
//! are made where they are missing, checked and made anew when an operator asks.

use std::time::Duration;

use axum::{Router, extract::State, routing::post};
use chassis::{Problem, Shutdown, http::Json, shutdown::Slept};
use contracts::QuizMode;
use database::{Database, Result, params};
use serde::Serialize;

use crate::store::{
    self, entries,
    tree::{self, Tree},
};

/// Rows of the first version's table that one transaction moves.
const BATCH: usize = 500;

/// How often this looks for rows that a replica of the first version still writes.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(30);

/// What a rebuild found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuilt {
    /// Boards with at least one line.
    pub boards: u64,
    /// Nodes that did not count what was there; 0 unless something is broken.
    pub wrong_nodes: i64,
    /// Rows of the first version's table that were still to be moved.
    pub moved: usize,
}

/// Moves what the first version left behind and counts boards that nobody has counted.
///
/// # Errors
/// As the database says; what was done until then stays, and places are exact at every moment.
pub async fn at_start(db: &Database) -> Result<()> {
    let moved = take_over(db).await?;
    if moved > 0 {
        tracing::info!(moved, "moved the first version's entries to the boards");
    }
    let mut last = -1;
    while let Some(board) = next_board(db, last).await? {
        let mut tx = db.begin().await?;
        store::lock(&mut tx).await?;
        if !tree::has_nodes(&mut tx, board).await? {
            Tree::default().build(&mut tx, board).await?;
        }
        tx.commit().await?;
        last = board;
    }
    Ok(())
}

/// Goes on moving what a replica of the first version writes, until the shutdown.
///
/// # Errors
/// Never; the type is that of a supervised task.
pub async fn watch(db: Database, shutdown: Shutdown) -> anyhow::Result<()> {
    while shutdown.sleep(TAKE_OVER_EVERY).await == Slept::Whole {
        if let Err(error) = take_over(&db).await {
            tracing::warn!(%error, "cannot move entries now");
        }
    }
    Ok(())
}

/// Moves all rows of the first version's table; how many there were.
///
/// # Errors
/// As the database says.
pub async fn take_over(db: &Database) -> Result<usize> {
    let some: Option<(String,)> = db
        .fetch_optional("SELECT quiz_mode FROM entries LIMIT 1", params![])
        .await?;
    if some.is_none() {
        return Ok(0);
    }
    let mut count = 0;
    loop {
        let mut tx = db.begin().await?;
        store::lock(&mut tx).await?;
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let moves = entries::take_over(&mut tx, limit).await?;
        count += moves.len();
        let is_last = moves.len() < BATCH;
        if is_last {
            Tree::default().shift(&mut tx, &moves).await?;
        } else {
            // Cheaper to count all of them at the end than each by itself.
            for quiz_mode in QuizMode::ALL {
                tree::clear(&mut tx, entries::all_time(*quiz_mode).id()).await?;
            }
        }
        tx.commit().await?;
        if is_last {
            break;
        }
    }
    for quiz_mode in QuizMode::ALL {
        let board = entries::all_time(*quiz_mode).id();
        let mut tx = db.begin().await?;
        store::lock(&mut tx).await?;
        if !tree::has_nodes(&mut tx, board).await? {
            Tree::default().build(&mut tx, board).await?;
        }
        tx.commit().await?;
    }
    Ok(count)
}

/// Checks every board's nodes against its lines and makes them anew, board by board.
///
/// # Errors
/// As the database says; boards done until then stay done.
pub async fn rebuild(db: &Database) -> Result<Rebuilt> {
    let mut told = Rebuilt {
        moved: take_over(db).await?,
        ..Rebuilt::default()
    };
    let mut last = -1;
    while let Some(board) = next_board(db, last).await? {
        let mut tx = db.begin().await?;
        store::lock(&mut tx).await?;
        told.wrong_nodes += tree::wrong(&mut tx, board).await?;
        Tree::default().build(&mut tx, board).await?;
        tx.commit().await?;
        told.boards += 1;
        last = board;
    }
    Ok(told)
}

/// `POST /ops/boards/rebuild`.
pub fn verbs(db: Database) -> Router {
    Router::new()
        .route("/boards/rebuild", post(rebuild_now))
        .with_state(db)
}

async fn rebuild_now(State(db): State<Database>) -> Result<Json<Rebuilt>, Problem> {
    Ok(Json(rebuild(&db).await?))
}

/// The first board after this one that has lines.
async fn next_board(db: &Database, after: i64) -> Result<Option<i64>> {
    let found: Option<(i64,)> = db
        .fetch_optional(
            "SELECT board FROM standings WHERE board > $1 ORDER BY board LIMIT 1",
            params![after],
        )
        .await?;
    Ok(found.map(|(board,)| board))
}
