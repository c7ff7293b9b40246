//! Rows of the monolith, and how far an import of them came.

use contracts::events::Choice;
use database::{Database, Json, Result, Sql, Timestamp, Tx, params};
use serde_json::json;
use uuid::Uuid;

use super::{index, named, revision};
use crate::domain::Question;

/// What the rows come from, in `import_progress`.
const SOURCE: &str = "legacy.questions";

/// A question as the monolith stores it.
#[derive(Clone, Debug, database::Record)]
pub struct LegacyQuestion {
    /// The same on both sides.
    pub id: Uuid,
    text: String,
    category: String,
    difficulty: String,
    choices: Json<Vec<Choice>>,
    correct_choice_id: String,
    tags: Json<Vec<String>>,
    version: i64,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

/// Whether the monolith stores tags. One that was not upgraded yet does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// There is a column.
    Stored,
    /// There is none.
    Unknown,
}

/// Looks whether the monolith stores tags.
///
/// # Errors
/// As the monolith's database says.
pub async fn tags_in(legacy: &Database) -> Result<Tags> {
    let (columns,): (i64,) = legacy
        .fetch_one(
            Sql::by_dialect(
                "SELECT COUNT(*) FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = 'questions'
                   AND column_name = 'tags'",
                "SELECT COUNT(*) FROM pragma_table_info('questions') WHERE name = 'tags'",
            ),
            params![],
        )
        .await?;
    Ok(if columns > 0 {
        Tags::Stored
    } else {
        Tags::Unknown
    })
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was not here.
    Inserted,
    /// It was here, as an earlier import had left it, and the monolith's is newer.
    Updated,
    /// It is known, or an event wrote it.
    Skipped,
}

/// Reads the next rows of the monolith's table, by id; deleted ones too.
///
/// # Errors
/// As the monolith's database says.
pub async fn read_legacy(
    legacy: &Database,
    tags: Tags,
    after: Uuid,
    limit: i64,
) -> Result<Vec<LegacyQuestion>> {
    let sql = match tags {
        Tags::Stored => Sql::from(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                    updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
        ),
        Tags::Unknown => Sql::by_dialect(
            "SELECT id, text, category, difficulty, choices, correct_choice_id,
                    CAST('[]' AS JSONB) AS tags, version, updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
            "SELECT id, text, category, difficulty, choices, correct_choice_id, '[]' AS tags,
                    version, updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
        ),
    };
    legacy.fetch_all(sql, params![after, limit]).await
}

/// Before a batch of [`take_over`]: the caches have to look again, and this is the row that every
/// writer of questions locks first.
///
/// # Errors
/// As the database says.
pub async fn begin(tx: &mut Tx) -> Result<()> {
    revision::raise(tx).await
}

/// Takes one row over, unless an event wrote it or this version of it is known.
///
/// # Errors
/// As the database says.
pub async fn take_over(tx: &mut Tx, row: &LegacyQuestion) -> Result<Taken> {
    let values = || {
        params![
            row.id,
            &row.text,
            &row.category,
            &row.difficulty,
            json!(row.choices.0),
            &row.correct_choice_id,
            json!(row.tags.0),
            row.version,
            row.updated_at,
            row.deleted_at
        ]
    };
    let inserted = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    tags, version, updated_at, deleted_at, legacy_updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9)
             ON CONFLICT (id) DO NOTHING",
            values(),
        )
        .await?;
    if inserted == 1 {
        index(tx, row).await?;
        return Ok(Taken::Inserted);
    }
    let updated = tx
        .execute(
            "UPDATE questions SET
                 text = $2, category = $3, difficulty = $4, choices = $5, correct_choice_id = $6,
                 tags = $7, version = $8, updated_at = $9, deleted_at = $10, legacy_updated_at = $9
             WHERE id = $1 AND event_position IS NULL AND legacy_updated_at < $9",
            values(),
        )
        .await?;
    if updated == 1 {
        index(tx, row).await?;
        return Ok(Taken::Updated);
    }
    Ok(Taken::Skipped)
}

async fn index(tx: &mut Tx, row: &LegacyQuestion) -> Result<()> {
    if row.deleted_at.is_some() {
        return index::remove(tx, row.id).await;
    }
    let question = Question {
        id: row.id,
        text: row.text.clone(),
        category: row.category.clone(),
        difficulty: named(&row.difficulty)?,
        choices: row.choices.0.clone(),
        correct_choice_id: row.correct_choice_id.clone(),
        tags: row.tags.0.clone(),
        version: row.version,
    };
    index::put(tx, &question, row.updated_at).await
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

/// The import came to its end: the next one begins at the beginning.
///
/// # Errors
/// As the database says.
pub async fn finish(db: &Database) -> Result<()> {
    db.execute(
        "DELETE FROM import_progress WHERE source = $1",
        params![SOURCE],
    )
    .await?;
    Ok(())
}
