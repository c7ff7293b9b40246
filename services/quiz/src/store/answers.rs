//! The answers, each with its place in the life of its saga.

use std::collections::{BTreeSet, HashMap};

use contracts::{
    QuizMode,
    http::{AnswerStatus, BadgeRef, Standing},
};
use database::{Database, Dialect, Json, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

use super::{json, named};
use crate::tally::Tally;

/// An answer as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The answer, and its saga.
    pub id: Uuid,
    /// Who answered.
    pub user_id: Uuid,
    /// What was asked.
    pub question_id: Uuid,
    /// What was chosen.
    pub choice_id: String,
    /// What would have been right.
    pub correct_choice_id: String,
    /// How it was played.
    pub quiz_mode: QuizMode,
    /// Whether the choice was right.
    pub is_correct: bool,
    /// What it is worth.
    pub points: i64,
    /// The player's streak with it.
    pub streak: i64,
}

/// A stored answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// As it was given.
    pub given: Given,
    /// Where its saga stands, as the player may know it.
    pub status: AnswerStatus,
    /// The badges it unlocked; empty until it completed.
    pub achievements: Vec<BadgeRef>,
    /// Where it put the player, once it completed and where the board answered.
    pub standing: Option<Standing>,
    /// Why it was taken back.
    pub reason: Option<String>,
}

#[derive(database::Record)]
struct Row {
    id: Uuid,
    user_id: Uuid,
    question_id: Uuid,
    choice_id: String,
    correct_choice_id: String,
    quiz_mode: String,
    is_correct: bool,
    points: i64,
    streak: i64,
    status: String,
    achievements: Option<Json<Vec<BadgeRef>>>,
    standing: Option<Json<Standing>>,
    reason: Option<String>,
}

const COMPLETED: &str = "completed";
const COMPENSATED: &str = "compensated";

impl TryFrom<Row> for Answer {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        let status = match row.status.as_str() {
            COMPLETED => AnswerStatus::Completed,
            COMPENSATED => AnswerStatus::Compensated,
            _ => AnswerStatus::Pending,
        };
        Ok(Self {
            given: Given {
                id: row.id,
                user_id: row.user_id,
                question_id: row.question_id,
                choice_id: row.choice_id,
                correct_choice_id: row.correct_choice_id,
                quiz_mode: named(&row.quiz_mode)?,
                is_correct: row.is_correct,
                points: row.points,
                streak: row.streak,
            },
            status,
            achievements: row.achievements.map(|json| json.0).unwrap_or_default(),
            standing: row.standing.map(|json| json.0),
            reason: row.reason,
        })
    }
}

/// What keeps a player from answering, while the player's row is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, database::Record)]
pub struct Obstacles {
    /// Who it is.
    pub user_id: Uuid,
    /// The account was deleted.
    pub has_left: bool,
    /// This answer has to be decided first.
    pub undecided: Option<Uuid>,
}

/// What keeps each of the players from answering.
///
/// # Errors
/// As the database says.
pub async fn obstacles(tx: &mut Tx, players: &BTreeSet<Uuid>) -> Result<Vec<Obstacles>> {
    const OBSTACLES: &str = "SELECT given.user_id,
                EXISTS (SELECT 1 FROM departed_users AS left_
                        WHERE left_.user_id = given.user_id) AS has_left,
                (SELECT id FROM answers
                 WHERE answers.user_id = given.user_id AND status = 'pending') AS undecided
         FROM unnest($1::UUID[]) AS given (user_id)";
    const OF_ONE: &str = "SELECT $1 AS user_id,
                EXISTS (SELECT 1 FROM departed_users WHERE user_id = $1) AS has_left,
                (SELECT id FROM answers WHERE user_id = $1 AND status = 'pending') AS undecided";
    if tx.dialect() == Dialect::Postgres {
        let players: Vec<Uuid> = players.iter().copied().collect();
        return tx.fetch_all(OBSTACLES, params![players]).await;
    }
    let mut found = Vec::with_capacity(players.len());
    for user_id in players {
        found.push(tx.fetch_one(OF_ONE, params![*user_id]).await?);
    }
    Ok(found)
}

/// The mode, whether it was right and the points of those of `ids` that were not taken back, in
/// the order of their ids, which is that in which they were given; and whether each is undecided.
///
/// # Errors
/// As the database says.
pub async fn counting(tx: &mut Tx, ids: Vec<Uuid>) -> Result<Vec<(QuizMode, bool, i64, bool)>> {
    const COUNTING: Sql = Sql::by_dialect(
        "SELECT quiz_mode, is_correct, points, status = 'pending' FROM answers
         WHERE id = ANY($1) AND status <> 'compensated' ORDER BY id",
        "SELECT quiz_mode, is_correct, points, status = 'pending' FROM answers
         WHERE id IN (SELECT unhex(value) FROM json_each($1)) AND status <> 'compensated'
         ORDER BY id",
    );
    let rows: Vec<(String, bool, i64, bool)> = tx.fetch_all(COUNTING, params![ids]).await?;
    rows.into_iter()
        .map(|(mode, is_correct, points, is_open)| Ok((named(&mode)?, is_correct, points, is_open)))
        .collect()
}

/// What taking the player's undecided answer back restores from now on.
///
/// # Errors
/// As the database says.
pub async fn rebase(tx: &mut Tx, user_id: Uuid, before: &Tally) -> Result<()> {
    tx.execute(
        "UPDATE answers SET own_before = $2 WHERE user_id = $1 AND status = 'pending'",
        params![user_id, json(before)?],
    )
    .await
    .map(|_| ())
}

/// Marks the answer as taken back; whose it was, and the tally to restore. None when it is decided
/// already or its player was forgotten.
///
/// # Errors
/// As the database says.
pub async fn compensate(
    tx: &mut Tx,
    id: Uuid,
    reason: &str,
    at: Timestamp,
) -> Result<Option<(Uuid, Tally)>> {
    let row: Option<(Uuid, Option<Json<Tally>>)> = tx
        .fetch_optional(
            "UPDATE answers SET status = 'compensated', reason = $2, decided_at = $3
             WHERE id = $1 AND status = 'pending' RETURNING user_id, own_before",
            params![id, reason, at],
        )
        .await?;
    Ok(row.and_then(|(user_id, before)| Some((user_id, before?.0))))
}

/// An answer by its id.
///
/// # Errors
/// As the database says.
pub async fn find(db: &Database, id: Uuid) -> Result<Option<Answer>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, user_id, question_id, choice_id, correct_choice_id, quiz_mode, is_correct,
                    points, streak, status, achievements, standing, reason
             FROM answers WHERE id = $1",
            params![id],
        )
        .await?;
    row.map(Answer::try_from).transpose()
}

/// As [`find`], for several on PostgreSQL, where each alone is a round trip; those that there are.
///
/// # Errors
/// As the database says.
pub async fn find_all(db: &Database, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Answer>> {
    let rows: Vec<Row> = db
        .fetch_all(
            "SELECT found.* FROM unnest($1::UUID[]) AS given (id) CROSS JOIN LATERAL (
                 SELECT id, user_id, question_id, choice_id, correct_choice_id, quiz_mode, is_correct,
                        points, streak, status, achievements, standing, reason
                 FROM answers WHERE answers.id = given.id LIMIT 1) AS found",
            params![ids],
        )
        .await?;
    let by_id = |row: Row| Ok((row.id, row.try_into()?));
    rows.into_iter().map(by_id).collect()
}

/// Forgets a player's answers.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute("DELETE FROM answers WHERE user_id = $1", params![user_id])
        .await
        .map(|_| ())
}

/// Forgets at most `limit` answers of players who left; whose each was.
///
/// # Errors
/// As the database says.
pub async fn expel(tx: &mut Tx, limit: i64) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = tx
        .fetch_all(
            "DELETE FROM answers WHERE id IN (
                 SELECT a.id FROM answers a
                 JOIN departed_users d ON d.user_id = a.user_id LIMIT $1)
             RETURNING user_id",
            params![limit],
        )
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A page of answers in the order of their ids, for the audit.
///
/// # Errors
/// As the database says.
pub async fn page(db: &Database, after: Uuid, limit: i64) -> Result<Vec<Answer>> {
    let rows: Vec<Row> = db
        .fetch_all(
            "SELECT id, user_id, question_id, choice_id, correct_choice_id, quiz_mode, is_correct,
                    points, streak, status, achievements, standing, reason
             FROM answers WHERE id > $1 ORDER BY id LIMIT $2",
            params![after, limit],
        )
        .await?;
    rows.into_iter().map(Answer::try_from).collect()
}
