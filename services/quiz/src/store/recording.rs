//! What a transaction records of answers: the players' rows that it holds are read once, and the answers,
//! what they count and how they ended are written together before the commit.
//!
//! Invariant: a player's row is this transaction's from when it is kept here.

use std::collections::HashMap;

use contracts::http::{BadgeRef, Standing};
use database::{Dialect, Result, Timestamp, Tx, Writing, params};
use serde_json::Value;
use uuid::Uuid;

use super::{answers::Given, json, stats::Counted};
use crate::tally::Tally;

/// The rows that are held, and the answers that wait to be written.
#[derive(Clone, Default)]
pub(super) struct Recording {
    held: HashMap<Uuid, Counted>,
    answers: Vec<Recorded>,
    completed: Vec<Completed>,
}

/// An answer that makes final what it did.
#[derive(Clone)]
struct Completed {
    id: Uuid,
    achievements: Value,
    standing: Option<Value>,
    at: Timestamp,
}

#[derive(Clone)]
struct Recorded {
    given: Given,
    /// What taking it back restores.
    before: Tally,
    after: Tally,
    at: Timestamp,
}

impl Recording {
    pub(super) fn hold(&mut self, user_id: Uuid, counted: Counted) {
        self.held.insert(user_id, counted);
    }

    pub(super) fn held(&self, user_id: Uuid) -> Option<Counted> {
        self.held.get(&user_id).cloned()
    }
}

/// Records an undecided answer of a player whose row `tx` holds, with the tally that taking it back
/// restores, and counts it. The commit writes it.
pub fn record(tx: &mut Tx, given: Given, before: Tally, after: Tally, at: Timestamp) {
    let recording = tx.deferred::<Recording>();
    if let Some(counted) = recording.held.get_mut(&given.user_id) {
        counted.own = after;
    }
    recording.answers.push(Recorded {
        given,
        before,
        after,
        at,
    });
}

/// The answer makes what it did final. Nothing happens to one that is decided already. The commit
/// writes it.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn complete(
    tx: &mut Tx,
    id: Uuid,
    achievements: &[BadgeRef],
    standing: Option<&Standing>,
    at: Timestamp,
) -> Result<()> {
    let completed = Completed {
        id,
        achievements: json(&achievements)?,
        standing: standing.map(json).transpose()?,
        at,
    };
    tx.deferred::<Recording>().completed.push(completed);
    Ok(())
}

impl database::Deferred for Recording {
    fn write(self, tx: &mut Tx) -> Writing<'_> {
        Box::pin(async move {
            match tx.dialect() {
                _ if self.answers.is_empty() => {}
                Dialect::Postgres => write_together(tx, &self.answers).await?,
                Dialect::Sqlite => write_each(tx, &self.answers).await?,
            }
            match tx.dialect() {
                _ if self.completed.is_empty() => Ok(()),
                Dialect::Postgres => complete_together(tx, self.completed).await,
                Dialect::Sqlite => complete_each(tx, self.completed).await,
            }
        })
    }
}

async fn complete_each(tx: &mut Tx, completed: Vec<Completed>) -> Result<()> {
    const COMPLETE: &str =
        "UPDATE answers SET status = 'completed', own_before = NULL, achievements = $2,
                            standing = $3, decided_at = $4
         WHERE id = $1 AND status = 'pending'";
    let row = |one: Completed| params![one.id, one.achievements, one.standing, one.at];
    let rows = completed.into_iter().map(row).collect();
    tx.execute_each(COMPLETE, rows).await.map(|_| ())
}

async fn complete_together(tx: &mut Tx, completed: Vec<Completed>) -> Result<()> {
    // By `ANY`, whose look into the key is cheap in a plan that was made while the table was small, too.
    const COMPLETE: &str = "UPDATE answers SET status = 'completed', own_before = NULL,
             achievements = ($2::TEXT[])[array_position($1::UUID[], id)]::JSONB,
             standing = ($3::TEXT[])[array_position($1::UUID[], id)]::JSONB,
             decided_at = ($4::TIMESTAMPTZ[])[array_position($1::UUID[], id)]
         WHERE id = ANY($1) AND status = 'pending'";
    let ids: Vec<Uuid> = completed.iter().map(|one| one.id).collect();
    let times: Vec<Timestamp> = completed.iter().map(|one| one.at).collect();
    let text = |json: &Value| json.to_string();
    let achievements = completed.iter().map(|one| text(&one.achievements));
    let achievements: Vec<String> = achievements.collect();
    let standings = completed.iter().map(|one| one.standing.as_ref().map(text));
    let standings: Vec<Option<String>> = standings.collect();
    let values = params![ids, achievements, standings, times];
    tx.execute(COMPLETE, values).await.map(|_| ())
}

async fn write_each(tx: &mut Tx, answers: &[Recorded]) -> Result<()> {
    const ANSWER: &str =
        "INSERT INTO answers (id, user_id, question_id, choice_id, correct_choice_id, quiz_mode,
                              is_correct, points, streak, status, own_before, submitted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11)";
    const COUNT: &str = "UPDATE stats SET own = $2 WHERE user_id = $1";
    let (mut rows, mut counts) = (Vec::new(), Vec::new());
    for Recorded {
        given,
        before,
        after,
        at,
    } in answers
    {
        rows.push(params![
            given.id,
            given.user_id,
            given.question_id,
            &given.choice_id,
            &given.correct_choice_id,
            given.quiz_mode.as_str(),
            given.is_correct,
            given.points,
            given.streak,
            json(before)?,
            *at
        ]);
        counts.push(params![given.user_id, json(after)?]);
    }
    tx.execute_each(ANSWER, rows).await?;
    tx.execute_each(COUNT, counts).await.map(|_| ())
}

/// All with one statement. The rows of `stats` are there and held, so the upsert finds them by their key,
/// whatever the planner knows of the table.
async fn write_together(tx: &mut Tx, answers: &[Recorded]) -> Result<()> {
    const WRITE: &str = "WITH given AS (
             SELECT * FROM unnest($1::UUID[], $2::UUID[], $3::UUID[], $4::TEXT[], $5::TEXT[],
                                  $6::TEXT[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[],
                                  $10::TEXT[], $11::TEXT[], $12::TIMESTAMPTZ[])
             AS given (id, user_id, question_id, choice_id, correct_choice_id, quiz_mode,
                       is_correct, points, streak, before, after, at)),
         counted AS (
             INSERT INTO stats (user_id, base, own, version)
             SELECT user_id, '{}'::JSONB, after::JSONB, 0 FROM given
             ON CONFLICT (user_id) DO UPDATE SET own = excluded.own)
         INSERT INTO answers (id, user_id, question_id, choice_id, correct_choice_id, quiz_mode,
                              is_correct, points, streak, status, own_before, submitted_at)
         SELECT id, user_id, question_id, choice_id, correct_choice_id, quiz_mode, is_correct <> 0,
                points, streak, 'pending', before::JSONB, at
         FROM given";
    fn of<T>(answers: &[Recorded], part: impl Fn(&Recorded) -> T) -> Vec<T> {
        answers.iter().map(part).collect()
    }
    let text = |part: fn(&Recorded) -> &Tally| -> Result<Vec<String>> {
        let json = |answer| Ok(json(part(answer))?.to_string());
        answers.iter().map(json).collect()
    };
    let values = params![
        of(answers, |answer| answer.given.id),
        of(answers, |answer| answer.given.user_id),
        of(answers, |answer| answer.given.question_id),
        of(answers, |answer| answer.given.choice_id.clone()),
        of(answers, |answer| answer.given.correct_choice_id.clone()),
        of(answers, |answer| answer.given.quiz_mode.as_str().to_owned()),
        of(answers, |answer| i64::from(answer.given.is_correct)),
        of(answers, |answer| answer.given.points),
        of(answers, |answer| answer.given.streak),
        text(|answer| &answer.before)?,
        text(|answer| &answer.after)?,
        of(answers, |answer| answer.at),
    ];
    tx.execute(WRITE, values).await.map(|_| ())
}
