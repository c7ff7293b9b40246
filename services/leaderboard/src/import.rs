//! Takes over what the monolith's database holds: scores, and the players' names.
//!
//! Invariant: it can be repeated at any time, also while the service runs. A score is taken only
//! when it was reached later than the one imported before and than the player's last reset; what
//! was earned here stays on top. Nobody comes back whose account was deleted.

use std::collections::HashMap;

use async_trait::async_trait;
use contracts::QuizMode;
use database::{Database, Result, Sql, Timestamp, Tx, params};
use serde::Serialize;
use service::{
    departed,
    import::{BATCH, Count, Import},
};
use uuid::Uuid;

use crate::store::{
    self,
    entries::{self, Line},
    players,
    tree::{Move, Tree},
};

/// Takes over the monolith's scores and names.
#[derive(Clone, Copy, Debug)]
pub struct FromLegacy;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines of all boards.
    pub entries: Count,
}

#[derive(database::Record)]
struct Row {
    quiz_mode: String,
    user_id: Uuid,
    score: i64,
    reached_at: Timestamp,
    display_name: String,
}

/// What is known here of the players of a batch.
struct Known {
    lines: HashMap<(Uuid, i64), Line>,
    resets: HashMap<Uuid, Timestamp>,
}

#[async_trait]
impl Import for FromLegacy {
    type Report = Report;

    async fn run(&self, own: &Database, legacy: &Database) -> Result<Report> {
        Ok(Report {
            entries: entries(own, legacy).await?,
        })
    }
}

async fn entries(db: &Database, legacy: &Database) -> Result<Count> {
    let mut count = Count::default();
    let mut after = (Uuid::nil(), String::new());
    loop {
        let rows: Vec<Row> = legacy
            .fetch_all(
                "SELECT l.quiz_mode, l.user_id, l.score, l.reached_at, u.display_name
                 FROM leaderboard l JOIN users u ON u.id = l.user_id
                 WHERE (l.user_id, l.quiz_mode) > ($1, $2) ORDER BY l.user_id, l.quiz_mode LIMIT $3",
                params![after.0, &after.1, BATCH],
            )
            .await?;
        let Some(last) = rows.last() else {
            return Ok(count);
        };
        after = (last.user_id, last.quiz_mode.clone());
        let mut tx = db.begin().await?;
        store::lock(&mut tx).await?;
        let known = Known::of(&mut tx, &rows).await?;
        let mut moves = Vec::new();
        for row in &rows {
            let taken = known.take(&mut tx, row).await?;
            count.add(taken.is_some());
            moves.extend(taken);
        }
        Tree::default().shift(&mut tx, &moves).await?;
        tx.commit().await?;
    }
}

impl Known {
    async fn of(tx: &mut Tx, rows: &[Row]) -> Result<Self> {
        const RESETS: Sql = Sql::by_dialect(
            "SELECT user_id, reset_at FROM players
             WHERE user_id = ANY($1) AND reset_at IS NOT NULL",
            "SELECT user_id, reset_at FROM players
             WHERE user_id IN (SELECT unhex(value) FROM json_each($1)) AND reset_at IS NOT NULL",
        );
        let users: Vec<Uuid> = rows.iter().map(|row| row.user_id).collect();
        let resets: Vec<(Uuid, Timestamp)> = tx.fetch_all(RESETS, params![users.clone()]).await?;
        let lines = entries::of_players(tx, users).await?.into_iter();
        Ok(Self {
            lines: lines
                .map(|line| ((line.user_id, line.board), line))
                .collect(),
            resets: resets.into_iter().collect(),
        })
    }

    /// Takes over one score; the change of place, if it was news.
    async fn take(&self, tx: &mut Tx, row: &Row) -> Result<Option<Move>> {
        let quiz_mode: QuizMode = row
            .quiz_mode
            .parse()
            .map_err(|error| database::Error::Query(Box::<contracts::UnknownName>::new(error)))?;
        let board = entries::all_time(quiz_mode).id();
        let before = self.lines.get(&(row.user_id, board));
        if before.is_none() && departed::has_left(tx, row.user_id).await? {
            return Ok(None);
        }
        let source = players::Source::Import;
        players::name(tx, row.user_id, &row.display_name, source).await?;
        let is_old = before.is_some_and(|line| line.base_at >= Some(row.reached_at));
        let is_reset = self
            .resets
            .get(&row.user_id)
            .is_some_and(|at| *at >= row.reached_at);
        if is_old || is_reset {
            return Ok(None);
        }
        let mut line = before.cloned().unwrap_or(Line {
            user_id: row.user_id,
            board,
            base: 0,
            base_at: None,
            points: 0,
            bonus: 0,
            reached_at: row.reached_at,
        });
        line.rebase(row.score, row.reached_at);
        entries::store(tx, &line).await?;
        Ok(entries::moved(before.map(Line::key), &line))
    }
}
