//! What `question.*` events write. Events come in log order, so a later one simply wins.
//!
//! Invariant: a row that an event wrote is never written by an import again.

use database::{Result, Timestamp, Tx, params};
use serde_json::json;
use uuid::Uuid;

use crate::domain::Question;

/// Writes a question as an event says it is.
///
/// # Errors
/// As the database says.
pub async fn write(tx: &mut Tx, question: &Question, at: Timestamp, position: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                version, updated_at, event_position)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET
             text = excluded.text, category = excluded.category,
             difficulty = excluded.difficulty, choices = excluded.choices,
             correct_choice_id = excluded.correct_choice_id, version = excluded.version,
             updated_at = excluded.updated_at, deleted_at = NULL,
             event_position = excluded.event_position",
        params![
            question.id,
            &question.text,
            &question.category,
            question.difficulty.as_str(),
            json!(question.choices),
            &question.correct_choice_id,
            question.version,
            at,
            position
        ],
    )
    .await?;
    Ok(())
}

/// Hides a question. Its row stays, so that a later import does not bring it back.
///
/// # Errors
/// As the database says.
pub async fn delete(tx: &mut Tx, id: Uuid, at: Timestamp, position: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                version, updated_at, deleted_at, event_position)
         VALUES ($1, '', '', 'easy', $2, '', 0, $3, $3, $4)
         ON CONFLICT (id) DO UPDATE SET
             updated_at = excluded.updated_at, deleted_at = excluded.deleted_at,
             event_position = excluded.event_position",
        params![id, json!([]), at, position],
    )
    .await?;
    Ok(())
}

/// Forgets what events wrote, before they are read again from the start. Imported rows that no
/// event touched stay; those that one did come back with the next import, or by their events.
///
/// # Errors
/// As the database says.
pub async fn reset(tx: &mut Tx) -> Result<()> {
    tx.execute(
        "DELETE FROM questions WHERE event_position IS NOT NULL",
        params![],
    )
    .await?;
    Ok(())
}
