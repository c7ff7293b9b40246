//! What `question.*` events write.
//!
//! Invariants: a row that an event wrote is never written by an import again, and an event writes an
//! imported row whatever its version, because the monolith counts for itself; what an event wrote is
//! not overwritten by an older version of it; what players find and what they read changes in one
//! transaction, which raises the revision first.

use database::{Result, Timestamp, Tx, params};
use serde_json::json;
use uuid::Uuid;

use super::{index, revision};
use crate::domain::Question;

/// Writes a question as an event says it is, unless another event wrote a newer version of it.
///
/// # Errors
/// As the database says.
pub async fn write(tx: &mut Tx, question: &Question, at: Timestamp, position: i64) -> Result<()> {
    revision::raise(tx).await?;
    let written = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    tags, version, updated_at, event_position)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (id) DO UPDATE SET
                 text = excluded.text, category = excluded.category,
                 difficulty = excluded.difficulty, choices = excluded.choices,
                 correct_choice_id = excluded.correct_choice_id, tags = excluded.tags,
                 version = excluded.version, updated_at = excluded.updated_at, deleted_at = NULL,
                 event_position = excluded.event_position
             WHERE questions.event_position IS NULL OR questions.version <= excluded.version",
            params![
                question.id,
                &question.text,
                &question.category,
                question.difficulty.as_str(),
                json!(question.choices),
                &question.correct_choice_id,
                json!(question.tags),
                question.version,
                at,
                position
            ],
        )
        .await?;
    if written == 1 {
        index::put(tx, question, at).await?;
    }
    Ok(())
}

/// Hides a question, unless another event wrote a newer version of it. Its row stays, so that a
/// later import does not bring it back.
///
/// # Errors
/// As the database says.
pub async fn delete(
    tx: &mut Tx,
    id: Uuid,
    version: i64,
    at: Timestamp,
    position: i64,
) -> Result<()> {
    revision::raise(tx).await?;
    let written = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    version, updated_at, deleted_at, event_position)
             VALUES ($1, '', '', 'easy', $2, '', $3, $4, $4, $5)
             ON CONFLICT (id) DO UPDATE SET
                 version = excluded.version, updated_at = excluded.updated_at,
                 deleted_at = excluded.deleted_at, event_position = excluded.event_position
             WHERE questions.event_position IS NULL OR questions.version <= excluded.version",
            params![id, json!([]), version, at, position],
        )
        .await?;
    if written == 1 {
        index::remove(tx, id).await?;
    }
    Ok(())
}

/// Forgets what events wrote, before they are read again from the start. Imported rows that no
/// event touched stay; those that one did come back with the next import, or by their events.
///
/// # Errors
/// As the database says.
pub async fn reset(tx: &mut Tx) -> Result<()> {
    revision::raise(tx).await?;
    tx.execute(
        "DELETE FROM question_search WHERE question_id IN (
             SELECT id FROM questions WHERE event_position IS NOT NULL)",
        params![],
    )
    .await?;
    tx.execute(
        "DELETE FROM questions WHERE event_position IS NOT NULL",
        params![],
    )
    .await?;
    Ok(())
}
