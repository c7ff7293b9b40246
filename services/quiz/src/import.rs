//! Takes over what the monolith's database holds: questions with their right choice, and stats.
//!
//! Invariant: it can be repeated at any time, also while the service runs. A row is taken only
//! when it is newer than what was imported before; what this side counted is never touched, and
//! nobody who left comes back.

use async_trait::async_trait;
use contracts::QuizMode;
use database::{Database, Json, Result, Timestamp, params};
use serde::Serialize;
use service::{
    departed,
    import::{BATCH, Count, Import},
};
use uuid::Uuid;

use crate::{
    domain::{Asked, ModeStats, Stats},
    store::{self, questions::Change},
};

/// Takes over the monolith's questions and stats.
#[derive(Clone, Copy, Debug)]
pub struct FromLegacy;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Questions, deleted ones included.
    pub questions: Count,
    /// Players' stats.
    pub stats: Count,
}

#[async_trait]
impl Import for FromLegacy {
    type Report = Report;

    async fn run(&self, own: &Database, legacy: &Database) -> Result<Report> {
        Ok(Report {
            questions: questions(own, legacy).await?,
            stats: stats(own, legacy).await?,
        })
    }
}

#[derive(database::Record)]
struct QuestionRow {
    id: Uuid,
    category: String,
    difficulty: String,
    choices: Json<Vec<contracts::http::Choice>>,
    correct_choice_id: String,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

async fn questions(db: &Database, legacy: &Database) -> Result<Count> {
    let mut count = Count::default();
    let mut after = Uuid::nil();
    loop {
        let rows: Vec<QuestionRow> = legacy
            .fetch_all(
                "SELECT id, category, difficulty, choices, correct_choice_id, updated_at, deleted_at
                 FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
                params![after, BATCH],
            )
            .await?;
        let Some(last) = rows.last() else {
            return Ok(count);
        };
        after = last.id;
        let mut tx = db.begin().await?;
        for row in rows {
            let at = row
                .deleted_at
                .map_or(row.updated_at, |deleted| deleted.max(row.updated_at));
            let change = row.change()?;
            count.add(store::questions::import(&mut tx, &change, at).await?);
        }
        tx.commit().await?;
    }
}

impl QuestionRow {
    fn change(self) -> Result<Change> {
        if self.deleted_at.is_some() {
            return Ok(Change::Deleted(self.id));
        }
        Ok(Change::Written(Asked {
            question_id: self.id,
            category: self.category,
            difficulty: store::named(&self.difficulty)?,
            choice_ids: self.choices.0.into_iter().map(|choice| choice.id).collect(),
            correct_choice_id: self.correct_choice_id,
        }))
    }
}

#[derive(database::Record)]
struct StatsRow {
    user_id: Uuid,
    answered: i64,
    correct: i64,
    streak: i64,
    best_streak: i64,
    updated_at: Timestamp,
    quiz_mode: Option<String>,
    mode_answered: Option<i64>,
    mode_correct: Option<i64>,
    mode_score: Option<i64>,
}

async fn stats(db: &Database, legacy: &Database) -> Result<Count> {
    let mut count = Count::default();
    let mut after = Uuid::nil();
    loop {
        // One statement reads a player's totals and modes, so that they are of one moment.
        let rows: Vec<StatsRow> = legacy
            .fetch_all(
                "SELECT s.user_id, s.answered, s.correct, s.streak, s.best_streak, s.updated_at,
                        m.quiz_mode, m.answered AS mode_answered, m.correct AS mode_correct,
                        m.score AS mode_score
                 FROM (SELECT * FROM stats WHERE user_id > $1 ORDER BY user_id LIMIT $2) s
                 LEFT JOIN mode_stats m ON m.user_id = s.user_id
                 ORDER BY s.user_id",
                params![after, BATCH],
            )
            .await?;
        let Some(last) = rows.last() else {
            return Ok(count);
        };
        after = last.user_id;
        let users: Vec<Uuid> = rows.iter().map(|row| row.user_id).collect();
        let mut tx = db.begin().await?;
        let left = departed::among(&mut tx, users.clone()).await?;
        for player in rows.chunk_by(|left, right| left.user_id == right.user_id) {
            let Some(first) = player.first() else {
                continue;
            };
            if left.contains(&first.user_id) {
                count.add(false);
                continue;
            }
            let base = base(first, player)?;
            let at = first.updated_at;
            count.add(store::stats::import(&mut tx, first.user_id, &base, at).await?);
        }
        // Whoever leaves just now waits for these rows from here on, or is seen here.
        for user_id in departed::among(&mut tx, users).await? {
            store::stats::forget(&mut tx, user_id).await?;
        }
        tx.commit().await?;
    }
}

fn base(first: &StatsRow, modes: &[StatsRow]) -> Result<Stats> {
    let mut base = Stats {
        answered: first.answered,
        correct: first.correct,
        streak: first.streak,
        best_streak: first.best_streak,
        ..Stats::default()
    };
    for row in modes {
        let Some(name) = &row.quiz_mode else { continue };
        let quiz_mode: QuizMode = store::named(name)?;
        let mode = ModeStats {
            answered: row.mode_answered.unwrap_or_default(),
            correct: row.mode_correct.unwrap_or_default(),
            score: row.mode_score.unwrap_or_default(),
        };
        base.score += mode.score;
        *base.by_mode.of_mut(quiz_mode) = mode;
    }
    Ok(base)
}
