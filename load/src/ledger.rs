//! What each client was told of each answer, in the lines that `banyan audit --demo-ledger` holds
//! against both sides: no answer may be lost, none counted twice.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use contracts::{
    audit::{Outcome as Fate, Side, Told},
    http::Answer,
};
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    outcome::Outcome,
    players::Player,
    site::{Reply, Site, send},
};

/// Asked again at once.
const AT_ONCE: usize = 8;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// All that clients were told.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Vec<Told>>);

/// The request that submits an answer, each time with the same key.
pub fn submit(told: &Told, site: &Site, token: &str) -> reqwest::RequestBuilder {
    let body = json!({ "questionId": told.question_id, "choiceId": told.choice_id,
                       "quizMode": told.quiz_mode });
    site.request(Method::POST, "/api/answers", Some(token))
        .header("idempotency-key", told.key.to_string())
        .json(&body)
}

/// Notes what the reply says; the right choice, when it tells.
pub fn hear(told: &mut Told, reply: &Reply) -> Option<String> {
    told.attempts += 1;
    if let Some(upstream) = &reply.upstream {
        told.side = Side::of_upstream(upstream);
    }
    told.detail = (!reply.outcome.is_good()).then(|| reply.outcome.to_string());
    let id = |pointer| {
        let id = reply.member(pointer)?;
        id.as_str()?.parse().ok()
    };
    match &reply.outcome {
        Outcome::Done(_) => {
            let answer: Answer = reply.read()?;
            told.outcome = Fate::Accepted;
            told.answer_id = Some(answer.id);
            told.is_correct = Some(answer.is_correct);
            told.points = Some(answer.score);
            return Some(answer.correct_choice_id);
        }
        Outcome::Compensated => {
            told.outcome = Fate::Compensated;
            told.answer_id = id("/answerId").or(told.answer_id);
        }
        Outcome::Pending => told.answer_id = id("/id").or(told.answer_id),
        // The key's first request is still under way, or nothing was looked at yet.
        Outcome::Refused(401 | 408 | 409 | 429, _) => {}
        Outcome::Refused(400..500, _) => told.outcome = Fate::Refused,
        Outcome::Refused(..) | Outcome::Timeout | Outcome::Lost(_) => {}
    }
    None
}

impl Ledger {
    /// Notes what a client was told.
    pub fn note(&self, told: Told) {
        self.lock().push(told);
    }

    /// Asks again, with their keys and their players' sessions, for what clients were never told;
    /// how many stay unknown.
    pub async fn settle(&self, site: &Site, players: &mut [Player], within: Duration) -> usize {
        let (open, told) = std::mem::take(&mut *self.lock())
            .into_iter()
            .partition(|told| told.outcome == Fate::Unknown);
        *self.lock() = told;
        let mut open_of = HashMap::<Uuid, Vec<Told>>::new();
        for told in open {
            open_of.entry(told.user_id).or_default().push(told);
        }
        let deadline = Instant::now() + within;
        let asked = players.iter_mut().filter_map(|player| {
            let open = open_of.remove(&player.user_id)?;
            Some(ask_again(site, player, open, deadline))
        });
        // Each borrows its player, so all of them are there before the first is asked.
        let asked: Vec<_> = asked.collect();
        let asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        let settled: Vec<Told> = asked.flat_map(stream::iter).collect().await;
        let strangers = open_of.into_values().flatten();
        let settled: Vec<Told> = settled.into_iter().chain(strangers).collect();
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

/// Asks for one player's open answers until each of them is known or the time is up.
async fn ask_again(
    site: &Site,
    player: &mut Player,
    mut open: Vec<Told>,
    deadline: Instant,
) -> Vec<Told> {
    loop {
        // Nothing is lost with a renewal that fails: the answers stay unknown, and are told so.
        player.pass.keep(site).await.ok();
        for told in open.iter_mut().filter(|told| told.outcome == Fate::Unknown) {
            if Instant::now() >= deadline {
                break;
            }
            let reply = send(submit(told, site, &player.pass.token)).await;
            hear(told, &reply);
        }
        let is_known = open.iter().all(|told| told.outcome != Fate::Unknown);
        if is_known || Instant::now() >= deadline {
            return open;
        }
        sleep(PAUSE).await;
    }
}
