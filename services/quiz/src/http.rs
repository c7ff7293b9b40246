//! The public API: answers and stats.

mod prefer;

use std::time::Instant;

use axum::{
    Router,
    extract::{FromRef, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{
    http::{Json, Path},
    identity::{Caller, Verifier},
    trace::TraceContext,
};
use contracts::http::{self, AnswerStatus, PendingAnswer, SubmitAnswer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::prefer::Patience;
use crate::{
    error::{Error, Keyed},
    store::{self, answers::Answer, keys::Key},
    submission::{Submission, Submissions},
};

/// Where answers are posted; part of what an Idempotency-Key belongs to.
const ANSWERS: &str = "/api/answers";

/// The longest Idempotency-Key; a UUID has 36 characters.
const KEY_MAX: usize = 255;

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    /// Takes answers in.
    pub submissions: Submissions,
    /// Checks access tokens.
    pub verifier: Verifier,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

/// The public paths.
pub fn router(api: Api) -> Router {
    Router::new()
        .route(ANSWERS, post(submit))
        .route("/api/answers/{id}", get(show))
        .route("/api/stats/me", get(stats))
        .with_state(api)
}

async fn submit(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<SubmitAnswer>,
) -> Result<Response, Error> {
    let patience = Patience::of(&headers);
    let key = key(&headers, caller.user_id, &body)?;
    let keyed = if key.is_some() { Keyed::Yes } else { Keyed::No };
    let submission = Submission {
        caller,
        body,
        key,
        trace: TraceContext::current_or_new(),
    };
    // The wait for the player's answer before this one is part of the client's.
    let begun = Instant::now();
    let ticket = api.submissions.submit(&submission).await?;
    let left = patience.wait.saturating_sub(begun.elapsed());
    let answer = api.submissions.decided(ticket, left).await?;
    let mut response = answered(answer, keyed)?;
    if let Some(applied) = patience.applied {
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, Error> {
    let answer = api.submissions.find(id).await?;
    let own = answer.filter(|answer| answer.given.user_id == caller.user_id);
    let answer = own.ok_or(Error::UnknownAnswer(id))?;
    Ok(match answer.status {
        AnswerStatus::Completed => Json(completed(answer)).into_response(),
        status => Json(PendingAnswer { id, status }).into_response(),
    })
}

async fn stats(State(api): State<Api>, caller: Caller) -> Result<Json<http::Stats>, Error> {
    let counted = store::stats::find(api.submissions.db(), caller.user_id).await?;
    Ok(Json(counted.total().to_body()))
}

/// 200, 202 or 503. The last two are the same for right and wrong answers.
fn answered(answer: Answer, keyed: Keyed) -> Result<Response, Error> {
    let id = answer.given.id;
    match answer.status {
        AnswerStatus::Completed => Ok(Json(completed(answer)).into_response()),
        AnswerStatus::Compensated => Err(Error::Compensated { id, keyed }),
        status @ AnswerStatus::Pending => {
            let mut response = Json(PendingAnswer { id, status }).into_response();
            *response.status_mut() = StatusCode::ACCEPTED;
            if let Ok(location) = HeaderValue::try_from(format!("{ANSWERS}/{id}")) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            Ok(response)
        }
    }
}

fn completed(answer: Answer) -> http::Answer {
    http::Answer {
        id: answer.given.id,
        question_id: answer.given.question_id,
        is_correct: answer.given.is_correct,
        correct_choice_id: answer.given.correct_choice_id,
        streak: answer.given.streak,
        score: answer.given.points,
        status: answer.status,
        achievements: answer.achievements,
        leaderboard: answer.standing,
    }
}

/// The Idempotency-Key, with what identifies the body: its meaning, not its spelling.
fn key(headers: &HeaderMap, subject: Uuid, body: &SubmitAnswer) -> Result<Option<Key>, Error> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().ok().map(str::trim);
    let key = key
        .filter(|key| (1..=KEY_MAX).contains(&key.len()))
        .ok_or(Error::UnusableKey)?;
    let mut digest = Sha256::new();
    digest.update(body.question_id.as_bytes());
    digest.update(body.quiz_mode.as_str());
    digest.update([0]);
    digest.update(&body.choice_id);
    let fingerprint = digest.finalize().to_vec();
    Ok(Some(Key {
        subject,
        path: ANSWERS,
        key: key.to_owned(),
        fingerprint,
    }))
}
