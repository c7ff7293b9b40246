//! The `questions` table as curators write it. Deleted ones are only hidden, because answers refer
//! to them, and keep their ids.

use admin::domain::{Choice, Question};
use database::{Database, Result, Sql, Timestamp, Tx, params};
use sqlx::types::Json;
use uuid::Uuid;

use super::{json, named};

/// A question's row, hidden or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What it says.
    pub question: Question,
    /// Whether it was deleted.
    pub is_deleted: bool,
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
    deleted_at: Option<Timestamp>,
}

impl TryFrom<Row> for Stored {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            question: Question {
                id: row.id,
                text: row.text,
                category: row.category,
                difficulty: named(&row.difficulty)?,
                choices: row.choices.0,
                correct_choice_id: row.correct_choice_id,
                tags: row.tags.0,
                version: row.version,
            },
            is_deleted: row.deleted_at.is_some(),
        })
    }
}

/// The question with that id.
///
/// # Errors
/// As the database says.
pub async fn by_id(db: &Database, id: Uuid) -> Result<Option<Question>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                    deleted_at
             FROM questions WHERE id = $1 AND deleted_at IS NULL",
            params![id],
        )
        .await?;
    let stored = row.map(Stored::try_from).transpose()?;
    Ok(stored.map(|stored| stored.question))
}

/// The row with that id, hidden or not; other edits of it wait until the transaction ends. The
/// time of an edit is read behind this lock, so that `updated_at` rises with every edit.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Stored>> {
    // A writing transaction on SQLite is alone anyway.
    let row: Option<Row> = tx
        .fetch_optional(
            Sql::by_dialect(
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                        deleted_at
                 FROM questions WHERE id = $1 FOR UPDATE",
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                        deleted_at
                 FROM questions WHERE id = $1",
            ),
            params![id],
        )
        .await?;
    row.map(Stored::try_from).transpose()
}

/// The id of a question that is not hidden and has this content, but not the id `except`.
///
/// # Errors
/// As the database says.
pub async fn twin(tx: &mut Tx, question: &Question, except: Uuid) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = tx
        .fetch_optional(
            "SELECT id FROM questions
             WHERE category = $1 AND text = $2 AND id <> $3 AND deleted_at IS NULL
             ORDER BY id LIMIT 1",
            params![&question.category, &question.text, except],
        )
        .await?;
    Ok(row.map(|(id,)| id))
}

/// Adds a question, unless its id is taken; whether it did.
///
/// # Errors
/// As the database says.
pub async fn insert(tx: &mut Tx, question: &Question, now: Timestamp) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    tags, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
             ON CONFLICT (id) DO NOTHING",
            params![
                question.id,
                &question.text,
                &question.category,
                question.difficulty.as_str(),
                json(&question.choices)?,
                &question.correct_choice_id,
                json(&question.tags)?,
                question.version,
                now
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Replaces a row by the question as it is now, shown from now on.
///
/// # Errors
/// As the database says.
pub async fn replace(tx: &mut Tx, question: &Question, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE questions SET text = $2, category = $3, difficulty = $4, choices = $5,
                correct_choice_id = $6, tags = $7, version = $8, updated_at = $9, deleted_at = NULL
         WHERE id = $1",
        params![
            question.id,
            &question.text,
            &question.category,
            question.difficulty.as_str(),
            json(&question.choices)?,
            &question.correct_choice_id,
            json(&question.tags)?,
            question.version,
            now
        ],
    )
    .await?;
    Ok(())
}

/// Hides a question.
///
/// # Errors
/// As the database says.
pub async fn hide(tx: &mut Tx, id: Uuid, version: i64, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE questions SET deleted_at = $3, updated_at = $3, version = $2 WHERE id = $1",
        params![id, version, now],
    )
    .await?;
    Ok(())
}

/// Whether there is any question, hidden ones included.
///
/// # Errors
/// As the database says.
pub async fn is_empty(tx: &mut Tx) -> Result<bool> {
    let any: Option<(Uuid,)> = tx
        .fetch_optional("SELECT id FROM questions LIMIT 1", params![])
        .await?;
    Ok(any.is_none())
}
