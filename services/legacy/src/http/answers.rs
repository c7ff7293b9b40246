//! Answers: counted at once, in one transaction.

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use chassis::{
    http::{Json, Path},
    identity::Caller,
};
use contracts::http::{Answer, SubmitAnswer};
use quiz::error::Error as QuizError;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::App;
use crate::{
    accounts::user_of,
    error::Error,
    play::{self, Key},
    store::answers,
};

/// Where answers are posted; part of what an Idempotency-Key belongs to.
const ANSWERS: &str = "/api/answers";

/// The longest Idempotency-Key; a UUID has 36 characters.
const KEY_MAX: usize = 255;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route(ANSWERS, post(submit))
        .route("/api/answers/{id}", get(show))
}

async fn submit(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<SubmitAnswer>,
) -> Result<Json<Answer>, Error> {
    quiz::domain::usable_choice(&body.choice_id).map_err(QuizError::from)?;
    let key = key(&headers, &body)?;
    Ok(Json(
        play::submit(&app.db, &user_of(&caller), &body, key.as_ref()).await?,
    ))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Answer>, Error> {
    let answer = answers::by_id(&app.db, id, caller.user_id).await?;
    Ok(Json(answer.ok_or(QuizError::UnknownAnswer(id))?))
}

/// The Idempotency-Key, with what identifies the body: its meaning, not its spelling.
fn key(headers: &HeaderMap, body: &SubmitAnswer) -> Result<Option<Key>, QuizError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(QuizError::UnusableKey);
    }
    let is_printable = |value: &&str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let value = value.to_str().ok().map(str::trim).filter(is_printable);
    let value = value.filter(|value| (1..=KEY_MAX).contains(&value.len()));
    let value = value.ok_or(QuizError::UnusableKey)?.to_owned();
    let mut digest = Sha256::new();
    digest.update(body.question_id.as_bytes());
    digest.update(body.quiz_mode.as_str());
    digest.update([0]);
    digest.update(&body.choice_id);
    Ok(Some(Key {
        path: ANSWERS,
        value,
        fingerprint: digest.finalize().to_vec(),
    }))
}
