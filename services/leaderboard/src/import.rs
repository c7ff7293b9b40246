//! Takes over what the monolith's database holds: scores, and the players' names.
//!
//! Invariant: it can be repeated at any time, also while the service runs. A score is taken only
//! when it was reached later than the one imported before; what was earned here stays on top.

use async_trait::async_trait;
use contracts::QuizMode;
use database::{Database, Result, Timestamp, params};
use serde::Serialize;
use service::import::{BATCH, Count, Import};
use uuid::Uuid;

use crate::{domain::Entry, store};

/// Takes over the monolith's scores and names.
#[derive(Clone, Copy, Debug)]
pub struct FromLegacy;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines of all boards.
    pub entries: Count,
}

#[derive(sqlx::FromRow)]
struct Row {
    quiz_mode: String,
    user_id: Uuid,
    score: i64,
    reached_at: Timestamp,
    display_name: String,
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
        for row in rows {
            let quiz_mode: QuizMode = row.quiz_mode.parse().map_err(|error| {
                database::Error::Query(sqlx::Error::Decode(Box::<contracts::UnknownName>::new(
                    error,
                )))
            })?;
            let entry = Entry {
                user_id: row.user_id,
                score: row.score,
                reached_at: row.reached_at.into(),
            };
            let source = store::Source::Import;
            store::name(&mut tx, row.user_id, &row.display_name, source).await?;
            count.add(store::import(&mut tx, quiz_mode, &entry).await?);
        }
        tx.commit().await?;
    }
}
