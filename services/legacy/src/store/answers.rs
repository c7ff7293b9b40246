//! The `answers` table, and the Idempotency-Keys they were sent with.

use contracts::{
    QuizMode,
    events::BadgeRef,
    http::{Answer, AnswerStatus, Standing},
};
use database::{Database, Json, Result, Timestamp, Tx, params};
use uuid::Uuid;

use super::{json, named};

/// An answer to be stored, with what came of it.
#[derive(Clone, Debug)]
pub struct NewAnswer<'a> {
    /// What the player is told.
    pub told: &'a Answer,
    /// Who answered.
    pub user_id: Uuid,
    /// What was chosen.
    pub choice_id: &'a str,
    /// How it was played.
    pub quiz_mode: QuizMode,
    /// The question's category and difficulty at that moment.
    pub asked: &'a quiz::domain::Asked,
    /// Where it put the player.
    pub standing: Standing,
}

/// An Idempotency-Key of a user on a path, as it was used first.
#[derive(Clone, Debug, PartialEq, Eq, database::Record)]
pub struct UsedKey {
    /// SHA-256 of the body.
    pub request_hash: Vec<u8>,
    /// What came of it.
    pub answer_id: Uuid,
}

#[derive(database::Record)]
struct Row {
    id: Uuid,
    question_id: Uuid,
    quiz_mode: String,
    is_correct: bool,
    correct_choice_id: String,
    points: i64,
    streak: i64,
    achievements: Json<Vec<BadgeRef>>,
    board_score: i64,
    board_position: i64,
}

impl TryFrom<Row> for Answer {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            question_id: row.question_id,
            is_correct: row.is_correct,
            correct_choice_id: row.correct_choice_id,
            streak: row.streak,
            score: row.points,
            status: AnswerStatus::Completed,
            achievements: row.achievements.0,
            leaderboard: Some(Standing {
                quiz_mode: named(&row.quiz_mode)?,
                score: row.board_score,
                position: row.board_position,
            }),
        })
    }
}

const BY_ID: &str = "SELECT id, question_id, quiz_mode, is_correct, correct_choice_id, points,
                            streak, achievements, board_score, board_position
                     FROM answers WHERE id = $1 AND user_id = $2";

/// An answer of that user.
///
/// # Errors
/// As the database says.
pub async fn by_id(db: &Database, id: Uuid, user_id: Uuid) -> Result<Option<Answer>> {
    let row: Option<Row> = db.fetch_optional(BY_ID, params![id, user_id]).await?;
    row.map(Answer::try_from).transpose()
}

/// The same, inside a transaction.
///
/// # Errors
/// As the database says.
pub async fn by_id_in(tx: &mut Tx, id: Uuid, user_id: Uuid) -> Result<Option<Answer>> {
    let row: Option<Row> = tx.fetch_optional(BY_ID, params![id, user_id]).await?;
    row.map(Answer::try_from).transpose()
}

/// Stores an answer.
///
/// # Errors
/// As the database says.
pub async fn insert(tx: &mut Tx, answer: &NewAnswer<'_>, now: Timestamp) -> Result<()> {
    let NewAnswer {
        told,
        asked,
        standing,
        ..
    } = answer;
    tx.execute(
        "INSERT INTO answers (id, user_id, question_id, choice_id, quiz_mode, category, difficulty,
                              is_correct, correct_choice_id, points, streak, achievements,
                              board_score, board_position, answered_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        params![
            told.id,
            answer.user_id,
            told.question_id,
            answer.choice_id,
            answer.quiz_mode.as_str(),
            &asked.category,
            asked.difficulty.as_str(),
            told.is_correct,
            &told.correct_choice_id,
            told.score,
            told.streak,
            json(&told.achievements)?,
            standing.score,
            standing.position,
            now
        ],
    )
    .await?;
    Ok(())
}

/// How a key was used since `oldest`, if it was.
///
/// # Errors
/// As the database says.
pub async fn used_key(
    tx: &mut Tx,
    user_id: Uuid,
    path: &str,
    key: &str,
    oldest: Timestamp,
) -> Result<Option<UsedKey>> {
    tx.fetch_optional(
        "SELECT request_hash, answer_id FROM idempotency_keys
         WHERE user_id = $1 AND path = $2 AND key = $3 AND created_at > $4",
        params![user_id, path, key, oldest],
    )
    .await
}

/// Notes what came of a key, and forgets some that are older than `oldest`.
///
/// # Errors
/// As the database says.
pub async fn note_key(
    tx: &mut Tx,
    user_id: Uuid,
    path: &str,
    key: &str,
    used: &UsedKey,
    now: Timestamp,
    oldest: Timestamp,
) -> Result<()> {
    // Of this user only: whoever holds the user's lock cannot meet another sweeper.
    tx.execute(
        "DELETE FROM idempotency_keys WHERE user_id = $1 AND created_at <= $2",
        params![user_id, oldest],
    )
    .await?;
    tx.execute(
        "INSERT INTO idempotency_keys (user_id, path, key, request_hash, answer_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        params![
            user_id,
            path,
            key,
            used.request_hash.clone(),
            used.answer_id,
            now
        ],
    )
    .await?;
    Ok(())
}
