//! What a transaction records of answers: the players' rows that it holds are read once, and the answers
//! and what they count are written together before the commit.
//!
//! Invariant: a player's row is this transaction's from when it is kept here.

use std::collections::HashMap;

use database::{Dialect, Result, Timestamp, Tx, Writing, params};
use uuid::Uuid;

use super::{answers::Given, json, stats::Counted};
use crate::tally::Tally;

/// The rows that are held, and the answers that wait to be written.
#[derive(Clone, Default)]
pub(super) struct Recording {
    held: HashMap<Uuid, Counted>,
    answers: Vec<Recorded>,
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

impl database::Deferred for Recording {
    fn write(self, tx: &mut Tx) -> Writing<'_> {
        Box::pin(async move {
            match tx.dialect() {
                _ if self.answers.is_empty() => Ok(()),
                Dialect::Postgres => write_together(tx, &self.answers).await,
                Dialect::Sqlite => write_each(tx, &self.answers).await,
            }
        })
    }
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
