//! Rows of the monolith, and how far an import of them came.

use database::{Database, Result, Timestamp, Tx, params};
use sqlx::types::Json;
use uuid::Uuid;

/// What the rows come from, in `import_progress`.
const SOURCE: &str = "legacy.questions";

/// A question as the monolith stores it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LegacyQuestion {
    /// The same on both sides.
    pub id: Uuid,
    text: String,
    category: String,
    difficulty: String,
    choices: Json<serde_json::Value>,
    correct_choice_id: String,
    version: i64,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
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
    after: Uuid,
    limit: i64,
) -> Result<Vec<LegacyQuestion>> {
    legacy
        .fetch_all(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, version,
                    updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
            params![after, limit],
        )
        .await
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
            row.choices.0.clone(),
            &row.correct_choice_id,
            row.version,
            row.updated_at,
            row.deleted_at
        ]
    };
    let inserted = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    version, updated_at, deleted_at, legacy_updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8)
             ON CONFLICT (id) DO NOTHING",
            values(),
        )
        .await?;
    if inserted == 1 {
        return Ok(Taken::Inserted);
    }
    let updated = tx
        .execute(
            "UPDATE questions SET
                 text = $2, category = $3, difficulty = $4, choices = $5, correct_choice_id = $6,
                 version = $7, updated_at = $8, deleted_at = $9, legacy_updated_at = $8
             WHERE id = $1 AND event_position IS NULL AND legacy_updated_at < $8",
            values(),
        )
        .await?;
    Ok(if updated == 1 {
        Taken::Updated
    } else {
        Taken::Skipped
    })
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
