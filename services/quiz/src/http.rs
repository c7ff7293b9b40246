//! The public API: answers and stats.

use std::time::Instant;

use axum::{
    extract::{FromRef, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{
    http::{Json, Path, prefer::Patience},
    identity::{Caller, Verifier},
    trace::TraceContext,
};
use contracts::http::{self, AnswerState, AnswerStatus, PendingAnswer, SubmitAnswer};
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain,
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
pub fn router(api: Api) -> OpenApiRouter {
    routes().with_state(api)
}

/// What this service documents; legacy answers the same paths.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(submit))
        .routes(routes!(show))
        .routes(routes!(stats))
}

/// Answers a question. Waits until badges and boards have followed, or tells where to look later.
#[utoipa::path(post, path = "/api/answers", operation_id = "answers_submit", tag = "answers",
    security(("bearer" = [])),
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            pattern = "^[!-~](?:[ -~]*[!-~])?$",
            description = "Stands for this request for 24 hours: a repeat with the same body gets \
                the same outcome again, one with another body is refused. A compensated outcome \
                stays, too: try again with a new key."),
        ("Prefer" = Option<String>, Header,
            description = "RFC 7240. `wait=N`: the longest wait for the outcome in seconds, 8 \
                unless told and 10 at most; `respond-async`: no wait. What cannot be read is \
                ignored. `Preference-Applied` tells what was granted."),
    ),
    request_body = SubmitAnswer,
    responses(
        (status = 200, body = http::Answer, description = "It counts.",
            headers(("Preference-Applied" = Option<String>, description = "What was granted."))),
        (status = 202, body = PendingAnswer, description = "Recorded, and not decided yet.",
            headers(("Location" = String, description = "Where to look."),
                ("Preference-Applied" = Option<String>, description = "What was granted."))),
        (status = 401, description = "No access token, or one that is not valid; or the account \
            was deleted (`account_deleted`)."),
        (status = 404, description = "There is no such question (`question_not_found`)."),
        (status = 409, description = "The player's answer before it is still undecided \
            (`answer_in_progress`); `answerId` names it."),
        (status = 422, description = "A value is not acceptable (`invalid_field`, \
            `unknown_choice`), or the key came with another body (`idempotency_key_reused`)."),
        (status = 503, description = "The answer was taken back and counts nowhere \
            (`answer_compensated`); or a dependency is down. Try again after `Retry-After`."),
    ))]
async fn submit(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<SubmitAnswer>,
) -> Result<Response, Error> {
    domain::usable_choice(&body.choice_id).map_err(Error::Refused)?;
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

/// An answer of the caller's. Whether it was right is told once it is decided.
#[utoipa::path(get, path = "/api/answers/{id}", operation_id = "answers_show", tag = "answers",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The answer's id.")),
    responses((status = 200, body = AnswerState, description = "Where it stands.")))]
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

/// What the caller has reached, over all modes and in each.
#[utoipa::path(get, path = "/api/stats/me", operation_id = "stats_mine", tag = "stats",
    security(("bearer" = [])),
    responses((status = 200, body = http::Stats, description = "Zeros before the first answer.")))]
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
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        // Two keys are none: nobody can say which of them a repeat would come with.
        return Err(Error::UnusableKey);
    }
    let is_printable = |key: &&str| key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let key = value.to_str().ok().map(str::trim).filter(is_printable);
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
