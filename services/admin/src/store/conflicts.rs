//! The monolith's edits of questions that were edited here, too.

use database::{Database, Json, Result, Timestamp, Tx, params};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::legacy::{self, LegacyQuestion};
use crate::domain::Question;

/// Conflicts that are listed at most: an operator works through them, oldest first.
const LIMIT: i64 = 500;

/// A question that both sides edited; ours stays.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The question.
    pub question_id: Uuid,
    /// What the monolith says; null where it was deleted there.
    pub legacy: Value,
    /// When it was written there.
    pub legacy_updated_at: Timestamp,
    /// When that was noticed first.
    pub noticed_at: Timestamp,
}

/// Notes a conflict, or what the monolith says now in one that is known.
///
/// # Errors
/// As the database says.
pub async fn note(tx: &mut Tx, row: &LegacyQuestion, now: Timestamp) -> Result<()> {
    let stored = &row.stored;
    let content = (!stored.is_deleted).then(|| json!(stored.question.curated()));
    tx.execute(
        "INSERT INTO conflicts (question_id, legacy_content, legacy_updated_at, noticed_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (question_id) DO UPDATE SET
             legacy_content = excluded.legacy_content,
             legacy_updated_at = excluded.legacy_updated_at",
        params![
            stored.question.id,
            content.unwrap_or(Value::Null),
            row.updated_at,
            now
        ],
    )
    .await?;
    Ok(())
}

/// Both sides agree, or somebody has decided; whether there was a conflict.
///
/// # Errors
/// As the database says.
pub async fn settle(tx: &mut Tx, question_id: Uuid) -> Result<bool> {
    let settled = tx
        .execute(
            "DELETE FROM conflicts WHERE question_id = $1",
            params![question_id],
        )
        .await?;
    Ok(settled == 1)
}

/// Settles the conflict where the question as it was written here is what the monolith says; none:
/// it was deleted here.
///
/// # Errors
/// As the database says.
pub async fn compare(tx: &mut Tx, question_id: Uuid, ours: Option<&Question>) -> Result<()> {
    let row: Option<(Json<Value>,)> = tx
        .fetch_optional(
            "SELECT legacy_content FROM conflicts WHERE question_id = $1",
            params![question_id],
        )
        .await?;
    let Some((Json(theirs),)) = row else {
        return Ok(());
    };
    let ours = ours.map_or(Value::Null, |ours| json!(ours.curated()));
    if unversioned(theirs) == unversioned(ours) {
        settle(tx, question_id).await?;
        legacy::agree(tx, question_id).await?;
    }
    Ok(())
}

/// Each side counts versions for itself.
fn unversioned(mut content: Value) -> Value {
    if let Some(fields) = content.as_object_mut() {
        fields.remove("version");
    }
    content
}

/// The conflicts, oldest first.
///
/// # Errors
/// As the database says.
pub async fn list(db: &Database) -> Result<Vec<Conflict>> {
    let rows: Vec<(Uuid, Json<Value>, Timestamp, Timestamp)> = db
        .fetch_all(
            "SELECT question_id, legacy_content, legacy_updated_at, noticed_at
             FROM conflicts ORDER BY noticed_at, question_id LIMIT $1",
            params![LIMIT],
        )
        .await?;
    let conflict = |(question_id, Json(legacy), legacy_updated_at, noticed_at)| Conflict {
        question_id,
        legacy,
        legacy_updated_at,
        noticed_at,
    };
    Ok(rows.into_iter().map(conflict).collect())
}
