//! Rows of the monolith: what is read of them, how they are taken over, and how far that came.
//!
//! Invariant: a row that was edited here is never overwritten.

use std::collections::HashMap;

use contracts::events::Choice;
use database::{Database, Result, Sql, Timestamp, Tx, params};
use sqlx::types::Json;
use uuid::Uuid;

use super::{named, questions::values};
use crate::domain::{Question, Stored};

/// What the rows come from, in `import_progress` and `follow_progress`.
const SOURCE: &str = "legacy.questions";

/// The watermark that following will begin with, noted when the first import begins.
const BEGUN: &str = "legacy.questions.begun";

/// A question as the monolith has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyQuestion {
    /// What it says, deleted or not.
    pub stored: Stored,
    /// When it was written last there.
    pub updated_at: Timestamp,
    created_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

/// What is here of one of the monolith's questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ours {
    /// As of when the monolith's row is known.
    pub legacy_updated_at: Option<Timestamp>,
    /// Whether it was edited here.
    pub was_edited: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    text: String,
    category: String,
    difficulty: String,
    choices: Json<Vec<Choice>>,
    correct_choice_id: String,
    tags: Json<Vec<String>>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

impl TryFrom<Row> for LegacyQuestion {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        let question = Question {
            id: row.id,
            text: row.text,
            category: row.category,
            difficulty: named(&row.difficulty)?,
            choices: row.choices.0,
            correct_choice_id: row.correct_choice_id,
            tags: row.tags.0,
            version: row.version,
        };
        Ok(Self {
            stored: Stored {
                question,
                is_deleted: row.deleted_at.is_some(),
            },
            updated_at: row.updated_at,
            created_at: row.created_at,
            deleted_at: row.deleted_at,
        })
    }
}

/// The next rows of the monolith's table, by id; deleted ones too.
///
/// # Errors
/// As the monolith's database says.
pub async fn read(legacy: &Database, after: Uuid, limit: i64) -> Result<Vec<LegacyQuestion>> {
    let rows: Vec<Row> = legacy
        .fetch_all(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                    created_at, updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
            params![after, limit],
        )
        .await?;
    rows.into_iter().map(LegacyQuestion::try_from).collect()
}

/// The next rows behind a place in the order of their last write.
///
/// # Errors
/// As the monolith's database says.
pub async fn read_changed(
    legacy: &Database,
    (at, id): (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<LegacyQuestion>> {
    let rows: Vec<Row> = legacy
        .fetch_all(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                    created_at, updated_at, deleted_at
             FROM questions WHERE (updated_at, id) > ($1, $2)
             ORDER BY updated_at, id LIMIT $3",
            params![at, id, limit],
        )
        .await?;
    rows.into_iter().map(LegacyQuestion::try_from).collect()
}

/// When the monolith's last write was; the epoch where it holds nothing.
///
/// # Errors
/// As the monolith's database says.
pub async fn last_write(legacy: &Database) -> Result<Timestamp> {
    let (at,): (Option<Timestamp>,) = legacy
        .fetch_one("SELECT MAX(updated_at) FROM questions", params![])
        .await?;
    Ok(at.unwrap_or(Timestamp::from_micros(0)))
}

/// What is here of a question; nothing for one that is not here.
///
/// # Errors
/// As the database says.
pub async fn ours(tx: &mut Tx, id: Uuid) -> Result<Option<Ours>> {
    let row: Option<(Option<Timestamp>, Option<Timestamp>)> = tx
        .fetch_optional(
            "SELECT legacy_updated_at, changed_here_at FROM questions WHERE id = $1",
            params![id],
        )
        .await?;
    Ok(row.map(|(legacy_updated_at, changed_here_at)| Ours {
        legacy_updated_at,
        was_edited: changed_here_at.is_some(),
    }))
}

/// As of when the monolith's rows with these ids are known, where they are.
///
/// # Errors
/// As the database says.
pub async fn known(own: &Database, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Timestamp>> {
    let rows: Vec<(Uuid, Timestamp)> = own
        .fetch_all(
            Sql::by_dialect(
                "SELECT id, legacy_updated_at FROM questions
                 WHERE id = ANY($1) AND legacy_updated_at IS NOT NULL",
                "SELECT id, legacy_updated_at FROM questions
                 WHERE id IN (SELECT unhex(value) FROM json_each($1))
                   AND legacy_updated_at IS NOT NULL",
            ),
            params![ids],
        )
        .await?;
    Ok(rows.into_iter().collect())
}

/// Adds a question of the monolith, unless its id is here; whether it did. `applied` is the version
/// that players are known to see.
///
/// # Errors
/// As the database says.
pub async fn insert(tx: &mut Tx, row: &LegacyQuestion, applied: i64) -> Result<bool> {
    let mut parameters = values(&row.stored.question, row.updated_at);
    parameters.extend(params![row.created_at, row.deleted_at, applied]);
    let inserted = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    tags, version, updated_at, legacy_updated_at, created_at,
                                    deleted_at, applied_version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12)
             ON CONFLICT (id) DO NOTHING",
            parameters,
        )
        .await?;
    Ok(inserted == 1)
}

/// Takes over what the monolith says of a question now, unless it was edited here or this is
/// known; whether it did. `version` is what it counts as here.
///
/// # Errors
/// As the database says.
pub async fn update(tx: &mut Tx, row: &LegacyQuestion, version: i64) -> Result<bool> {
    let question = Question {
        version,
        ..row.stored.question.clone()
    };
    let mut parameters = values(&question, row.updated_at);
    parameters.extend(params![row.deleted_at]);
    let updated = tx
        .execute(
            "UPDATE questions SET text = $2, category = $3, difficulty = $4, choices = $5,
                    correct_choice_id = $6, tags = $7, version = $8, updated_at = $9,
                    legacy_updated_at = $9, deleted_at = $10
             WHERE id = $1 AND changed_here_at IS NULL AND legacy_updated_at < $9",
            parameters,
        )
        .await?;
    Ok(updated == 1)
}

/// Notes that the monolith's row is known, and changes nothing else.
///
/// # Errors
/// As the database says.
pub async fn seen(tx: &mut Tx, row: &LegacyQuestion) -> Result<()> {
    tx.execute(
        "UPDATE questions SET legacy_updated_at = $2 WHERE id = $1",
        params![row.stored.question.id, row.updated_at],
    )
    .await?;
    Ok(())
}

/// After which row an interrupted import goes on; none: at the beginning.
///
/// # Errors
/// As the database says.
pub async fn progress(db: &Database) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = db
        .fetch_optional(
            "SELECT after_id FROM import_progress WHERE source = $1",
            params![SOURCE],
        )
        .await?;
    Ok(row.map(|(after,)| after))
}

/// Notes how far the import came, with the rows themselves.
///
/// # Errors
/// As the database says.
pub async fn note_progress(tx: &mut Tx, after: Uuid) -> Result<()> {
    tx.execute(
        "INSERT INTO import_progress (source, after_id) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET after_id = excluded.after_id",
        params![SOURCE, after],
    )
    .await?;
    Ok(())
}

/// The first import begins: whatever the monolith writes from now on is for following. An import
/// that was interrupted keeps its first beginning.
///
/// # Errors
/// As the database says.
pub async fn begin(db: &Database, at: Timestamp) -> Result<()> {
    db.execute(
        "INSERT INTO follow_progress (source, watermark) VALUES ($1, $2)
         ON CONFLICT (source) DO NOTHING",
        params![BEGUN, at],
    )
    .await?;
    Ok(())
}

/// The import came to its end: the next one begins at the beginning, and following may begin.
///
/// # Errors
/// As the database says.
pub async fn finish(db: &Database) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.execute(
        "DELETE FROM import_progress WHERE source = $1",
        params![SOURCE],
    )
    .await?;
    tx.execute(
        "INSERT INTO follow_progress (source, watermark)
         SELECT $1, watermark FROM follow_progress WHERE source = $2
         ON CONFLICT (source) DO NOTHING",
        params![SOURCE, BEGUN],
    )
    .await?;
    tx.commit().await
}

/// Up to when the monolith's changes are known; none before the first import has ended.
///
/// # Errors
/// As the database says.
pub async fn watermark(db: &Database) -> Result<Option<Timestamp>> {
    let row: Option<(Timestamp,)> = db
        .fetch_optional(
            "SELECT watermark FROM follow_progress WHERE source = $1",
            params![SOURCE],
        )
        .await?;
    Ok(row.map(|(at,)| at))
}

/// Moves the watermark, never back.
///
/// # Errors
/// As the database says.
pub async fn advance(tx: &mut Tx, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE follow_progress SET watermark = $2 WHERE source = $1 AND watermark < $2",
        params![SOURCE, at],
    )
    .await?;
    Ok(())
}
