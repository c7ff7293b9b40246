//! The `questions` table as players read it; deleted ones are never seen here. Curators write it:
//! see [`super::curation`].

use contracts::{Difficulty, events::Choice};
use database::{Database, Result, Sql, Tx, params};
use question::domain::{Filter, Question};
use sqlx::types::Json;
use uuid::Uuid;

use super::named;

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
            tags: row.tags.0,
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
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
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
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
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
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
                 FROM questions WHERE id = $1 AND deleted_at IS NULL FOR SHARE",
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
                 FROM questions WHERE id = $1 AND deleted_at IS NULL",
            ),
            params![id],
        )
        .await?;
    row.map(Question::try_from).transpose()
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
                 SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
                 FROM matching ORDER BY id LIMIT 1
                 OFFSET (SELECT CAST(floor($3 * COUNT(*)) AS BIGINT) FROM matching)",
                "WITH matching AS (
                     SELECT * FROM questions
                     WHERE deleted_at IS NULL
                       AND ($1 = '' OR category = $1) AND ($2 = '' OR difficulty = $2))
                 SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
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
