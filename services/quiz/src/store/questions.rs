//! The service's own copy of the questions, with the right choice.

use std::collections::HashMap;

use database::{Database, Json, Result, Timestamp, Tx, params};
use uuid::Uuid;

use super::{json, named};
use crate::domain::Asked;

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is asked like this now.
    Written(Asked),
    /// It is asked no more; answers may still refer to it.
    Deleted(Uuid),
}

#[derive(database::Record)]
struct Row {
    id: Uuid,
    category: String,
    difficulty: String,
    choice_ids: Json<Vec<String>>,
    correct_choice_id: String,
}

impl TryFrom<Row> for Asked {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            question_id: row.id,
            category: row.category,
            difficulty: named(&row.difficulty)?,
            choice_ids: row.choice_ids.0,
            correct_choice_id: row.correct_choice_id,
        })
    }
}

/// The question, unless it is unknown or was deleted.
///
/// # Errors
/// As the database says.
pub async fn find(db: &Database, id: Uuid) -> Result<Option<Asked>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, category, difficulty, choice_ids, correct_choice_id FROM questions
             WHERE id = $1 AND NOT deleted",
            params![id],
        )
        .await?;
    row.map(Asked::try_from).transpose()
}

/// As [`find`], for several on PostgreSQL, where each alone is a round trip; those that there are.
///
/// # Errors
/// As the database says.
pub async fn find_all(db: &Database, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Asked>> {
    let rows: Vec<Row> = db
        .fetch_all(
            "SELECT found.* FROM unnest($1::UUID[]) AS given (id) CROSS JOIN LATERAL (
                 SELECT id, category, difficulty, choice_ids, correct_choice_id FROM questions
                 WHERE questions.id = given.id AND NOT deleted LIMIT 1) AS found",
            params![ids],
        )
        .await?;
    let by_id = |row: Row| Ok((row.id, row.try_into()?));
    rows.into_iter().map(by_id).collect()
}

/// Takes over an event of the question's stream; an older version than the one held changes
/// nothing.
///
/// # Errors
/// As the database says.
pub async fn apply(tx: &mut Tx, change: &Change, version: i64, at: Timestamp) -> Result<()> {
    write(
        tx,
        "INSERT INTO questions (id, version, category, difficulty, choice_ids, correct_choice_id,
                                deleted, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET
             version = excluded.version, category = excluded.category,
             difficulty = excluded.difficulty, choice_ids = excluded.choice_ids,
             correct_choice_id = excluded.correct_choice_id, deleted = excluded.deleted,
             changed_at = excluded.changed_at
         WHERE questions.version < excluded.version",
        change,
        version,
        at,
    )
    .await
    .map(|_| ())
}

/// Takes over a row of the monolith's; whether it was news. A question that events have touched
/// and a copy that is as new are left alone.
///
/// # Errors
/// As the database says.
pub async fn import(tx: &mut Tx, change: &Change, at: Timestamp) -> Result<bool> {
    let touched = write(
        tx,
        "INSERT INTO questions (id, version, category, difficulty, choice_ids, correct_choice_id,
                                deleted, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET
             category = excluded.category, difficulty = excluded.difficulty,
             choice_ids = excluded.choice_ids, correct_choice_id = excluded.correct_choice_id,
             deleted = excluded.deleted, changed_at = excluded.changed_at
         WHERE questions.version = 0 AND questions.changed_at < excluded.changed_at",
        change,
        0,
        at,
    )
    .await?;
    Ok(touched > 0)
}

async fn write(
    tx: &mut Tx,
    sql: &'static str,
    change: &Change,
    version: i64,
    at: Timestamp,
) -> Result<u64> {
    let values = match change {
        Change::Written(asked) => params![
            asked.question_id,
            version,
            &asked.category,
            asked.difficulty.as_str(),
            json(&asked.choice_ids)?,
            &asked.correct_choice_id,
            false,
            at
        ],
        // A deletion may overtake the import, so the tombstone has to stand by itself.
        Change::Deleted(id) => {
            params![
                *id,
                version,
                "",
                "easy",
                serde_json::json!([]),
                "",
                true,
                at
            ]
        }
    };
    tx.execute(sql, values).await
}
