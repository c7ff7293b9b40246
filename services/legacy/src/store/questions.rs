//! The `questions` table. Deleted ones are only hidden, because answers refer to them.

use contracts::{Difficulty, events::Choice};
use database::{Database, Result, Sql, Timestamp, Tx, params};
use question::domain::{Filter, Question};
use sqlx::types::Json;
use uuid::Uuid;

use super::{json, named};

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    text: String,
    category: String,
    difficulty: String,
    choices: Json<Vec<Choice>>,
    correct_choice_id: String,
    version: i64,
}

impl TryFrom<Row> for Question {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            text: row.text,
            category: row.category,
            difficulty: named(&row.difficulty)?,
            choices: row.choices.0,
            correct_choice_id: row.correct_choice_id,
            tags: Vec::new(),
            version: row.version,
        })
    }
}

/// The rows of a page and one more, by id: see [`Filter::page`].
///
/// # Errors
/// As the database says.
pub async fn list(db: &Database, filter: &Filter) -> Result<Vec<Question>> {
    let rows: Vec<Row> = db
        .fetch_all(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, version
             FROM questions
             WHERE deleted_at IS NULL AND id > $1
               AND ($2 = '' OR category = $2) AND ($3 = '' OR difficulty = $3)
             ORDER BY id LIMIT $4",
            params![
                filter.after.unwrap_or_default(),
                filter.category.as_deref().unwrap_or_default(),
                filter.difficulty.map_or("", Difficulty::as_str),
                i64::try_from(filter.rows()).unwrap_or(i64::MAX)
            ],
        )
        .await?;
    rows.into_iter().map(Question::try_from).collect()
}

/// The question with that id.
///
/// # Errors
/// As the database says.
pub async fn by_id(db: &Database, id: Uuid) -> Result<Option<Question>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, version
             FROM questions WHERE id = $1 AND deleted_at IS NULL",
            params![id],
        )
        .await?;
    row.map(Question::try_from).transpose()
}

/// The question with that id, kept from changing until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Question>> {
    let row: Option<Row> = tx
        .fetch_optional(
            Sql::by_dialect(
                "SELECT id, text, category, difficulty, choices, correct_choice_id, version
                 FROM questions WHERE id = $1 AND deleted_at IS NULL FOR SHARE",
                "SELECT id, text, category, difficulty, choices, correct_choice_id, version
                 FROM questions WHERE id = $1 AND deleted_at IS NULL",
            ),
            params![id],
        )
        .await?;
    row.map(Question::try_from).transpose()
}

/// Keeps other edits of a question waiting until the transaction ends. The time of an edit is read
/// behind this lock, so that `updated_at` rises with every edit.
///
/// # Errors
/// As the database says.
pub async fn lock_for_edit(tx: &mut Tx, id: Uuid) -> Result<()> {
    // A writing transaction on SQLite is alone anyway.
    let _held: Option<(Uuid,)> = tx
        .fetch_optional(
            Sql::by_dialect(
                "SELECT id FROM questions WHERE id = $1 FOR UPDATE",
                "SELECT id FROM questions WHERE id = $1",
            ),
            params![id],
        )
        .await?;
    Ok(())
}

/// One of the questions that match, each as likely as the others; `draw` is uniform in 0..1.
///
/// # Errors
/// As the database says.
pub async fn drawn(db: &Database, filter: &Filter, draw: f64) -> Result<Option<Question>> {
    // One statement counts and picks, so that a question deleted meanwhile leaves no gap.
    let row: Option<Row> = db
        .fetch_optional(
            Sql::by_dialect(
                "WITH matching AS (
                     SELECT * FROM questions
                     WHERE deleted_at IS NULL
                       AND ($1 = '' OR category = $1) AND ($2 = '' OR difficulty = $2))
                 SELECT id, text, category, difficulty, choices, correct_choice_id, version
                 FROM matching ORDER BY id LIMIT 1
                 OFFSET (SELECT CAST(floor($3 * COUNT(*)) AS BIGINT) FROM matching)",
                "WITH matching AS (
                     SELECT * FROM questions
                     WHERE deleted_at IS NULL
                       AND ($1 = '' OR category = $1) AND ($2 = '' OR difficulty = $2))
                 SELECT id, text, category, difficulty, choices, correct_choice_id, version
                 FROM matching ORDER BY id LIMIT 1
                 OFFSET (SELECT CAST($3 * COUNT(*) AS INTEGER) FROM matching)",
            ),
            params![
                filter.category.as_deref().unwrap_or_default(),
                filter.difficulty.map_or("", Difficulty::as_str),
                draw
            ],
        )
        .await?;
    row.map(Question::try_from).transpose()
}

/// Adds a question, unless its id is taken; whether it did.
///
/// # Errors
/// As the database says.
pub async fn insert(tx: &mut Tx, question: &Question, now: Timestamp) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
             ON CONFLICT (id) DO NOTHING",
            params![
                question.id,
                &question.text,
                &question.category,
                question.difficulty.as_str(),
                json(&question.choices)?,
                &question.correct_choice_id,
                question.version,
                now
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Replaces a question's content; its version afterwards, or none when there is no such question.
///
/// # Errors
/// As the database says.
pub async fn update(tx: &mut Tx, question: &Question, now: Timestamp) -> Result<Option<i64>> {
    let row: Option<(i64,)> = tx
        .fetch_optional(
            "UPDATE questions SET text = $2, category = $3, difficulty = $4, choices = $5,
                    correct_choice_id = $6, updated_at = $7, version = version + 1
             WHERE id = $1 AND deleted_at IS NULL
             RETURNING version",
            params![
                question.id,
                &question.text,
                &question.category,
                question.difficulty.as_str(),
                json(&question.choices)?,
                &question.correct_choice_id,
                now
            ],
        )
        .await?;
    Ok(row.map(|(version,)| version))
}

/// Hides a question; whether there was one.
///
/// # Errors
/// As the database says.
pub async fn delete(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<bool> {
    let deleted = tx
        .execute(
            "UPDATE questions SET deleted_at = $2, updated_at = $2, version = version + 1
             WHERE id = $1 AND deleted_at IS NULL",
            params![id, now],
        )
        .await?;
    Ok(deleted == 1)
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
