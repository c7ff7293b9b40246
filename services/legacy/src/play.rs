//! One answer of a player, in one transaction: answer, stats, badges and leaderboard are counted
//! together or not at all.

use std::time::Duration;

use achievement::domain::Answered;
use auth::domain::{Refusal, User};
use contracts::{
    QuizMode,
    events::BadgeRef,
    http::{Answer, AnswerStatus, Standing, SubmitAnswer},
};
use database::{Database, Timestamp, Tx};
use question::domain::Question;
use quiz::{domain::Asked, error::Error as QuizError};
use uuid::Uuid;

use crate::{
    error::Error,
    store::{
        answers::{self, NewAnswer, UsedKey},
        boards, players, questions, users,
    },
};

/// How long an Idempotency-Key stands for its answer.
const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// An Idempotency-Key with what it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The path that was called.
    pub path: &'static str,
    /// The header's value.
    pub value: String,
    /// SHA-256 of the body's meaning.
    pub fingerprint: Vec<u8>,
}

/// Judges, counts and stores an answer. The same key with the same body gets the first one's
/// result again.
///
/// # Errors
/// [`QuizError`] for an unknown question or choice, or a key that came with another body.
pub async fn submit(
    db: &Database,
    caller: &User,
    body: &SubmitAnswer,
    key: Option<&Key>,
) -> Result<Answer, Error> {
    let mut tx = db.begin().await?;
    let begun = tx.now().await?;
    let player = users::enter(&mut tx, caller, begun).await?;
    player
        .ok_or(Refusal::AccountDeleted)
        .map_err(auth::error::Error::from)?;
    // Whoever held the lock before may have been slow: this answer is given now.
    let now = tx.now().await?;
    if let Some(key) = key
        && let Some(answer) = recorded(&mut tx, caller.id, key, now).await?
    {
        return Ok(answer);
    }
    let question = questions::lock(&mut tx, body.question_id).await?;
    let question = question.ok_or(QuizError::UnknownQuestion(body.question_id))?;
    let answer = count(&mut tx, caller.id, body, asked(&question), now).await?;
    if let Some(key) = key {
        let used = UsedKey {
            request_hash: key.fingerprint.clone(),
            answer_id: answer.id,
        };
        let oldest = now - KEY_LIFETIME;
        answers::note_key(&mut tx, caller.id, key.path, &key.value, &used, now, oldest).await?;
    }
    tx.commit().await?;
    Ok(answer)
}

/// What came of the key before, if it was used.
async fn recorded(
    tx: &mut Tx,
    user_id: Uuid,
    key: &Key,
    now: Timestamp,
) -> Result<Option<Answer>, Error> {
    let oldest = now - KEY_LIFETIME;
    let used = answers::used_key(tx, user_id, key.path, &key.value, oldest).await?;
    let Some(used) = used else { return Ok(None) };
    if used.request_hash != key.fingerprint {
        return Err(QuizError::KeyReused.into());
    }
    let answer = answers::by_id_in(tx, used.answer_id, user_id).await?;
    Ok(Some(answer.ok_or(database::Error::NotFound)?))
}

async fn count(
    tx: &mut Tx,
    user_id: Uuid,
    body: &SubmitAnswer,
    asked: Asked,
    now: Timestamp,
) -> Result<Answer, Error> {
    let mode = body.quiz_mode;
    let before = players::stats_in(tx, user_id).await?;
    let outcome =
        quiz::domain::answer(&before, &asked, &body.choice_id, mode).map_err(QuizError::Refused)?;
    let standing = climb(tx, user_id, mode, outcome.points, now).await?;
    let achievements = earn(tx, user_id, mode, &asked, outcome.is_correct, now).await?;
    let told = Answer {
        id: Uuid::now_v7(),
        question_id: asked.question_id,
        is_correct: outcome.is_correct,
        correct_choice_id: asked.correct_choice_id.clone(),
        streak: outcome.stats.streak,
        score: outcome.points,
        status: AnswerStatus::Completed,
        achievements,
        leaderboard: Some(standing.clone()),
    };
    let answer = NewAnswer {
        told: &told,
        user_id,
        choice_id: &body.choice_id,
        quiz_mode: mode,
        asked: &asked,
        standing,
    };
    answers::insert(tx, &answer, now).await?;
    players::store_stats(tx, user_id, &outcome.stats, mode, now).await?;
    for badge in &told.achievements {
        players::unlock(tx, user_id, &badge.id, told.id, now).await?;
    }
    Ok(told)
}

/// Puts the points on the mode's board.
async fn climb(
    tx: &mut Tx,
    user_id: Uuid,
    mode: QuizMode,
    points: i64,
    now: Timestamp,
) -> Result<Standing, Error> {
    let entry = boards::entry(tx, mode, user_id).await?;
    let credit = leaderboard::domain::credit(entry.as_ref(), user_id, points, now.into())?;
    let position = boards::store(tx, mode, &credit.after).await?;
    Ok(Standing {
        quiz_mode: mode,
        score: credit.after.score,
        position,
    })
}

/// Applies the badge rules to the answer; the badges that it earned.
async fn earn(
    tx: &mut Tx,
    user_id: Uuid,
    quiz_mode: QuizMode,
    asked: &Asked,
    is_correct: bool,
    now: Timestamp,
) -> Result<Vec<BadgeRef>, Error> {
    let answered = Answered {
        question_id: asked.question_id,
        category: asked.category.clone(),
        difficulty: asked.difficulty,
        quiz_mode,
        is_correct,
        at: now.into(),
    };
    let before = players::player(tx, user_id).await?;
    let (player, earned) = achievement::domain::apply(&before, &answered);
    players::store_player(tx, user_id, &player, now).await?;
    let badges = earned
        .iter()
        .filter_map(|id| achievement::domain::badge(id.as_str()));
    let named = badges.map(|badge| BadgeRef {
        id: badge.id.as_str().to_owned(),
        name: badge.name.to_owned(),
    });
    Ok(named.collect())
}

fn asked(question: &Question) -> Asked {
    Asked {
        question_id: question.id,
        category: question.category.clone(),
        difficulty: question.difficulty,
        choice_ids: question
            .choices
            .iter()
            .map(|choice| choice.id.clone())
            .collect(),
        correct_choice_id: question.correct_choice_id.clone(),
    }
}
