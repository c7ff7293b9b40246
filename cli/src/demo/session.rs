//! A client of the public API, as a player's browser would be: real tokens, an Idempotency-Key on
//! every answer, and patience when the system is in trouble.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use chassis::{Shutdown, shutdown::Slept};
use contracts::{
    QuizMode,
    http::{Answer, Question, Session},
};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    ledger::{Outcome, Side, Told},
    observed::{Observed, Served},
};

/// Above the gateway's own bound for a response's head, so that it is the gateway that gives up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client asks for one answer's outcome: a restart and a saga's deadline fit in well.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause before a repeat; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(200);
/// A person would not press the button more often.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Logins that one answer may cost when its token is refused.
const LOGINS: u32 = 2;

/// The system's public side.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    http: reqwest::Client,
    gateway: String,
    observed: Arc<Observed>,
}

/// Who logs in.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// The address.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// Who served it; none when the gateway answered itself.
    pub(crate) side: Option<Side>,
    /// JSON; null when there is none.
    pub(crate) body: Value,
}

/// What a reply to an answer means.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Accepted(Box<Answer>),
    Compensated(Option<Uuid>),
    Pending(Option<Uuid>),
    Refused(String),
    LogIn,
    Again(String),
}

/// What is sent when a player answers.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The Idempotency-Key.
    pub(crate) key: Uuid,
    /// Who answers.
    pub(crate) user_id: Uuid,
    /// The question.
    pub(crate) question_id: Uuid,
    /// The choice.
    pub(crate) choice_id: String,
    /// The mode.
    pub(crate) quiz_mode: QuizMode,
}

impl Site {
    /// The site behind the gateway at `gateway`.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub(crate) fn new(gateway: &str, observed: Arc<Observed>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        Ok(Self {
            http,
            gateway: gateway.to_owned(),
            observed,
        })
    }

    /// Sends one request; an error says that no response came.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        key: Option<Uuid>,
        body: Option<&Value>,
    ) -> Result<Reply, String> {
        let mut request = self.http.request(method, format!("{}{path}", self.gateway));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key.to_string());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = read(request).await;
        let side = reply.as_ref().ok().and_then(|reply| reply.side);
        self.observed.request(side.map_or(Served::Not, Served::By));
        reply
    }

    /// Registers; an address that is taken already is ours, from a repeat.
    pub(crate) async fn register(&self, who: &Credentials, name: &str) -> Result<(), String> {
        let body = json!({ "email": who.email, "password": who.password, "displayName": name });
        let reply = self
            .send(Method::POST, "/api/auth/register", None, None, Some(&body))
            .await?;
        // A repeat of a registration whose answer was lost.
        let taken = reply.status == StatusCode::CONFLICT && reply.code() == "email_taken";
        if reply.status.is_success() || taken {
            Ok(())
        } else {
            Err(reply.describe())
        }
    }

    /// Logs in.
    pub(crate) async fn login(&self, who: &Credentials) -> Result<Session, String> {
        let body = json!({ "email": who.email, "password": who.password });
        let reply = self
            .send(Method::POST, "/api/auth/login", None, None, Some(&body))
            .await?;
        reply.read()
    }

    /// A question.
    pub(crate) async fn question(&self, token: &str) -> Result<Question, String> {
        self.get("/api/questions/random", token).await?.read()
    }

    /// Any read.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Result<Reply, String> {
        self.send(Method::GET, path, Some(token), None, None).await
    }

    /// Answers, and repeats with the same key until there is a definite outcome, patience ends, or
    /// `hurry` is triggered. `token` is replaced when it is refused.
    pub(crate) async fn answer(
        &self,
        attempt: &Attempt,
        who: &Credentials,
        token: &mut String,
        hurry: &Shutdown,
    ) -> Told {
        let begun = Instant::now();
        self.observed.opened(attempt.key);
        let mut told = attempt.untold();
        let (mut pause, mut logins) = (PAUSE, 0);
        loop {
            told.attempts += 1;
            match self.ask(attempt, token, &mut told).await {
                Verdict::Accepted(answer) => {
                    told.outcome = Outcome::Accepted;
                    told.answer_id = Some(answer.id);
                    told.is_correct = Some(answer.is_correct);
                    told.points = Some(answer.score);
                    told.detail = None;
                    break;
                }
                Verdict::Compensated(id) => {
                    told.outcome = Outcome::Compensated;
                    told.answer_id = id.or(told.answer_id);
                    told.detail = Some("answer_compensated".to_owned());
                    break;
                }
                Verdict::Refused(detail) => {
                    told.outcome = Outcome::Refused;
                    told.detail = Some(detail);
                    break;
                }
                Verdict::Pending(id) => told.answer_id = id.or(told.answer_id),
                Verdict::LogIn if logins < LOGINS => {
                    logins += 1;
                    if let Ok(session) = self.login(who).await {
                        *token = session.access_token;
                    }
                }
                Verdict::LogIn => told.detail = Some("logged in, and still refused".to_owned()),
                Verdict::Again(detail) => told.detail = Some(detail),
            }
            let patient = begun.elapsed() + pause < PATIENCE;
            if !patient || hurry.sleep(pause).await == Slept::ShutDown {
                break;
            }
            pause = (pause * 2).min(PAUSE_MAX);
            self.observed.retry();
        }
        self.observed.closed(attempt.key, told.outcome, told.side);
        told
    }

    /// Asks once: by the answer's id where that is known and the side that has it is asked, else
    /// by sending it again with its key.
    async fn ask(&self, attempt: &Attempt, token: &str, told: &mut Told) -> Verdict {
        if let Some(id) = told.answer_id {
            let path = format!("/api/answers/{id}");
            if let Ok(reply) = self.get(&path, token).await {
                let verdict = status_of(&reply);
                if let Some(verdict) = verdict {
                    told.side = reply.side.unwrap_or(told.side);
                    return verdict;
                }
            }
        }
        let body = json!({ "questionId": attempt.question_id, "choiceId": attempt.choice_id,
                           "quizMode": attempt.quiz_mode });
        let key = Some(attempt.key);
        match self
            .send(Method::POST, "/api/answers", Some(token), key, Some(&body))
            .await
        {
            Ok(reply) => {
                told.side = reply.side.unwrap_or(told.side);
                judge(&reply)
            }
            Err(fault) => Verdict::Again(fault),
        }
    }
}

impl Attempt {
    /// Before anything was heard of it.
    fn untold(&self) -> Told {
        let (user, question) = (self.user_id, self.question_id);
        Told::nothing(self.key, user, question, &self.choice_id, self.quiz_mode)
    }
}

impl From<&Told> for Attempt {
    fn from(told: &Told) -> Self {
        Self {
            key: told.key,
            user_id: told.user_id,
            question_id: told.question_id,
            choice_id: told.choice_id.clone(),
            quiz_mode: told.quiz_mode,
        }
    }
}

impl Reply {
    /// The problem's code; empty when there is none.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    fn describe(&self) -> String {
        format!("HTTP {} {}", self.status.as_u16(), self.code())
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        if !self.status.is_success() {
            return Err(self.describe());
        }
        T::deserialize(&self.body).map_err(|error| error.to_string())
    }

    fn id(&self, pointer: &str) -> Option<Uuid> {
        self.body.pointer(pointer)?.as_str()?.parse().ok()
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Reply, String> {
    let response = request
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    let status = response.status();
    let upstream = response.headers().get("x-banyan-upstream");
    let side = upstream
        .and_then(|name| name.to_str().ok())
        .map(Side::of_upstream);
    // A response that breaks off is none: its outcome is unknown.
    let bytes = response
        .bytes()
        .await
        .map_err(|error| error.without_url().to_string())?;
    Ok(Reply {
        status,
        side,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    })
}

/// What the reply to `POST /api/answers` means for its client. Anything but a definite word is
/// asked again with the same key, which can only ever be carried out once.
fn judge(reply: &Reply) -> Verdict {
    match (reply.status.as_u16(), reply.code()) {
        (200, _) => match reply.read() {
            Ok(answer) => Verdict::Accepted(Box::new(answer)),
            Err(fault) => Verdict::Again(fault),
        },
        (202, _) => Verdict::Pending(reply.id("/id")),
        (503, "answer_compensated") => Verdict::Compensated(reply.id("/answerId")),
        (401, _) => Verdict::LogIn,
        (408 | 429, _) | (409, "answer_in_progress") => Verdict::Again(reply.describe()),
        (400..500, _) => Verdict::Refused(reply.describe()),
        _ => Verdict::Again(reply.describe()),
    }
}

/// What `GET /api/answers/{id}` says of an answer's end; none while there is nothing definite.
fn status_of(reply: &Reply) -> Option<Verdict> {
    if reply.status != StatusCode::OK {
        return None;
    }
    match reply.body["status"].as_str()? {
        "completed" => Some(Verdict::Accepted(Box::new(reply.read().ok()?))),
        "compensated" => Some(Verdict::Compensated(reply.id("/id"))),
        _ => None,
    }
}
