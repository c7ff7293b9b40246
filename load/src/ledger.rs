//! What each client was told of each answer, in the lines that `banyan audit --demo-ledger` holds
//! against both sides: no answer may be lost, none counted twice.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use contracts::{QuizMode, http::Answer};
use futures::{StreamExt, stream};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    outcome::Outcome,
    site::{Reply, Site, send},
};

/// Asked again at once.
const AT_ONCE: usize = 8;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// The last that a client heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fate {
    Accepted,
    Compensated,
    Refused,
    Unknown,
}

/// One answer, as its client knows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    key: Uuid,
    user_id: Uuid,
    question_id: Uuid,
    choice_id: String,
    quiz_mode: QuizMode,
    outcome: Fate,
    side: &'static str,
    answer_id: Option<Uuid>,
    is_correct: Option<bool>,
    points: Option<i64>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// For asking again.
    #[serde(skip)]
    token: String,
}

/// All that clients were told.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Vec<Told>>);

impl Told {
    /// An answer that nothing was heard of yet.
    pub fn nothing(user_id: Uuid, question_id: Uuid, choice_id: &str, quiz_mode: QuizMode) -> Self {
        Self {
            key: Uuid::new_v4(),
            user_id,
            question_id,
            choice_id: choice_id.to_owned(),
            quiz_mode,
            outcome: Fate::Unknown,
            side: "legacy",
            answer_id: None,
            is_correct: None,
            points: None,
            attempts: 0,
            detail: None,
            token: String::new(),
        }
    }

    /// The request that submits it, each time with the same key.
    pub fn request(&self, site: &Site, token: &str) -> reqwest::RequestBuilder {
        let body = json!({ "questionId": self.question_id, "choiceId": self.choice_id,
                           "quizMode": self.quiz_mode });
        site.request(Method::POST, "/api/answers", Some(token))
            .header("idempotency-key", self.key.to_string())
            .json(&body)
    }

    /// What the reply says; the right choice, when it tells.
    pub fn hear(&mut self, reply: &Reply, token: &str) -> Option<String> {
        self.attempts += 1;
        if let Some(upstream) = &reply.upstream {
            let is_legacy = upstream == "legacy";
            self.side = if is_legacy { "legacy" } else { "candidate" };
        }
        self.detail = (!reply.outcome.is_good()).then(|| reply.outcome.to_string());
        let id = |pointer| {
            let id = reply.member(pointer)?;
            id.as_str()?.parse().ok()
        };
        token.clone_into(&mut self.token);
        match &reply.outcome {
            Outcome::Done(_) => {
                let answer: Answer = reply.read()?;
                self.outcome = Fate::Accepted;
                self.answer_id = Some(answer.id);
                self.is_correct = Some(answer.is_correct);
                self.points = Some(answer.score);
                self.token.clear();
                return Some(answer.correct_choice_id);
            }
            Outcome::Compensated => {
                self.outcome = Fate::Compensated;
                self.answer_id = id("/answerId").or(self.answer_id);
            }
            Outcome::Pending => self.answer_id = id("/id").or(self.answer_id),
            // The key's first request is still under way, or nothing was looked at yet.
            Outcome::Refused(401 | 408 | 409 | 429, _) => {}
            Outcome::Refused(400..500, _) => self.outcome = Fate::Refused,
            Outcome::Refused(..) | Outcome::Timeout | Outcome::Lost(_) => {}
        }
        None
    }
}

impl Ledger {
    /// Notes what a client was told.
    pub fn note(&self, told: Told) {
        self.lock().push(told);
    }

    /// Asks again, with their keys, for what clients were never told; how many stay unknown.
    pub async fn settle(&self, site: &Site, within: Duration) -> usize {
        let (open, told) = std::mem::take(&mut *self.lock())
            .into_iter()
            .partition(|told| told.outcome == Fate::Unknown);
        *self.lock() = told;
        let open: Vec<Told> = open;
        let deadline = Instant::now() + within;
        let asked = stream::iter(open).map(|mut told| async move {
            while told.outcome == Fate::Unknown && Instant::now() < deadline {
                let token = std::mem::take(&mut told.token);
                let reply = send(told.request(site, &token)).await;
                told.hear(&reply, &token);
                if told.outcome == Fate::Unknown {
                    sleep(PAUSE).await;
                }
            }
            told
        });
        let settled: Vec<Told> = asked.buffer_unordered(AT_ONCE).collect().await;
        let unknown = settled.iter().filter(|told| told.outcome == Fate::Unknown);
        let count = unknown.count();
        self.lock().extend(settled);
        count
    }

    /// How many answers were accepted.
    pub fn accepted(&self) -> usize {
        let told = self.lock();
        told.iter()
            .filter(|told| told.outcome == Fate::Accepted)
            .count()
    }

    /// Writes one JSON object a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let write = || -> anyhow::Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            for told in self.lock().iter() {
                serde_json::to_writer(&mut file, told)?;
                file.write_all(b"\n")?;
            }
            Ok(file.flush()?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
