//! Players: they answer, repeat what they got no answer to or give it up, and look at what they have.
//!
//! What a client does follows from the seed and from what it hears; when, from the machine.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use contracts::{
    QuizMode,
    http::{self, AnswerState, AnswerStatus, Leaderboard, Question, QuestionPage},
};
use load::{
    outcome::Outcome,
    players::Pass,
    site::{Reply, Site, send},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::sleep,
};
use uuid::Uuid;

use crate::history::{Asked, Call, Heard, History};

/// Clients at once; the last of them are second devices of the first ones' players.
const CLIENTS: usize = 10;
const PLAYERS: usize = 7;

/// What a client waits for an answer; the longest is above the system's own patience.
const PATIENCE: [u64; 3] = [2, 6, 12];

/// Milliseconds between two calls of a client, and before a repeat.
const PAUSE: std::ops::Range<u64> = 20..250;
const BEFORE_A_REPEAT: std::ops::Range<u64> = 50..1_500;

/// Calls with one key at most.
const REPEATS: std::ops::RangeInclusive<u32> = 1..=4;

/// Between two looks at what must come.
const LOOK: Duration = Duration::from_millis(50);

/// What every client knows.
pub struct Clients {
    /// The gateways.
    pub sites: [Site; 2],
    /// Where calls are kept.
    pub history: Arc<History>,
    /// What is asked.
    pub questions: Vec<Question>,
}

/// Somebody with a session, at one or two devices.
struct Player {
    user_id: Uuid,
    pass: Pass,
}

/// A client's own state.
struct Client {
    number: usize,
    all: Arc<Clients>,
    player: Arc<Mutex<Option<Player>>>,
    random: StdRng,
    /// Which gateway it calls.
    gateway: usize,
    /// The right choices that it was told.
    right: HashMap<Uuid, String>,
    stop: watch::Receiver<bool>,
}

/// The questions that players are asked: services import them after their start.
///
/// # Errors
/// When there are none within the time.
pub async fn questions(site: &Site, within: Duration) -> anyhow::Result<Vec<Question>> {
    let begun = Instant::now();
    loop {
        let request = site.request(Method::GET, "/api/questions?limit=20", None);
        let reply = send(request).await;
        let page: Option<QuestionPage> = reply.read();
        let questions = page.map(|page| page.items).unwrap_or_default();
        if !questions.is_empty() {
            return Ok(questions);
        }
        let is_late = begun.elapsed() > within;
        anyhow::ensure!(!is_late, "no questions: {}", reply.describe());
        sleep(LOOK).await;
    }
}

/// Lets all clients play until `stop` says so; the tasks end then, each after its call. The first plays
/// alone until an answer of its counts: on a busy machine many at once would only wait for each other.
pub fn play(
    all: &Arc<Clients>,
    seed: u64,
    stop: &watch::Receiver<bool>,
) -> JoinSet<anyhow::Result<()>> {
    let players: Vec<Arc<Mutex<Option<Player>>>> = (0..PLAYERS).map(|_| Arc::default()).collect();
    let mut running = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client {
            number,
            all: Arc::clone(all),
            player: Arc::clone(&players[number % PLAYERS]),
            random: StdRng::seed_from_u64(seed.wrapping_add(1 + number as u64)),
            gateway: number % 2,
            right: HashMap::new(),
            stop: stop.clone(),
        };
        running.spawn(client.run());
    }
    running
}

impl Client {
    async fn run(mut self) -> anyhow::Result<()> {
        while self.number > 0 && !*self.stop.borrow() && !self.all.history.has_counted() {
            self.pause(PAUSE).await;
        }
        while !*self.stop.borrow() {
            self.pause(PAUSE).await;
            let Some((user_id, token)) = self.session().await else {
                self.pause(BEFORE_A_REPEAT).await;
                continue;
            };
            match self.random.random_range(0..10) {
                0 => self.read_stats(user_id, &token).await?,
                1 => self.read_board(user_id, &token).await?,
                _ => self.answer(user_id, &token).await?,
            }
        }
        Ok(())
    }

    /// Whoever is asked to stop does not wait any more.
    async fn pause(&mut self, millis: std::ops::Range<u64>) {
        let millis = self.random.random_range(millis);
        let stop = self.stop.wait_for(|is_over| *is_over);
        tokio::time::timeout(Duration::from_millis(millis), stop)
            .await
            .ok();
    }

    fn site(&self) -> &Site {
        &self.all.sites[self.gateway]
    }

    /// The player's id and token. A session that cannot be renewed is given up: somebody new comes.
    async fn session(&mut self) -> Option<(Uuid, String)> {
        let mut player = self.player.lock().await;
        let site = &self.all.sites[self.gateway];
        if let Some(known) = player.as_mut()
            && known.pass.keep(site).await.is_err()
        {
            *player = None;
        }
        if player.is_none() {
            let request = site.guest().timeout(Duration::from_secs(PATIENCE[1]));
            match Site::session(request).await {
                Ok(session) => {
                    *player = Some(Player {
                        user_id: session.user.id,
                        pass: Pass::new(session),
                    });
                }
                Err(_) => self.gateway = 1 - self.gateway,
            }
        }
        let known = player.as_ref()?;
        Some((known.user_id, known.pass.token.clone()))
    }

    async fn answer(&mut self, user_id: Uuid, token: &str) -> anyhow::Result<()> {
        let key = Uuid::from_u128(self.random.random());
        let all = Arc::clone(&self.all);
        let question = all
            .questions
            .choose(&mut self.random)
            .context("a question")?;
        let choice = question
            .choices
            .choose(&mut self.random)
            .context("a choice")?;
        let known = self.right.get(&question.id).cloned();
        let choice_id = match known {
            // Streaks want right answers, and now and then a wrong one.
            Some(right) if self.random.random_ratio(5, 6) => right,
            _ => choice.id.clone(),
        };
        let quiz_mode = *QuizMode::ALL.choose(&mut self.random).context("a mode")?;
        let mut left = self.random.random_range(REPEATS);
        loop {
            let asked = Asked::Answer {
                key,
                question_id: question.id,
                choice_id: choice_id.clone(),
                quiz_mode,
            };
            let body =
                json!({ "questionId": question.id, "choiceId": choice_id, "quizMode": quiz_mode });
            let request = self
                .site()
                .request(Method::POST, "/api/answers", Some(token));
            let request = request
                .header("idempotency-key", key.to_string())
                .json(&body);
            let request = self.preferring(request);
            let (heard, reply) = self.call(user_id, asked, request, of_answer).await?;
            if let Some(answer) = reply.read::<http::Answer>() {
                self.right
                    .insert(answer.question_id, answer.correct_choice_id);
            }
            left -= 1;
            let is_known = matches!(heard, Heard::Completed { .. } | Heard::Compensated { .. });
            if let Heard::Pending { answer_id } = heard {
                self.look(user_id, token, answer_id).await?;
            }
            // Now and then also what it has heard of: the same must be told again.
            if left == 0 || *self.stop.borrow() || (is_known && self.random.random_ratio(9, 10)) {
                return Ok(());
            }
            self.pause(BEFORE_A_REPEAT).await;
        }
    }

    /// `Prefer` as clients send it.
    fn preferring(&mut self, request: RequestBuilder) -> RequestBuilder {
        match self.random.random_range(0..8) {
            0 => request.header("prefer", "respond-async"),
            1 => request.header("prefer", "wait=2"),
            _ => request,
        }
    }

    async fn look(&mut self, user_id: Uuid, token: &str, answer_id: Uuid) -> anyhow::Result<()> {
        self.pause(BEFORE_A_REPEAT).await;
        let path = format!("/api/answers/{answer_id}");
        let request = self.site().request(Method::GET, &path, Some(token));
        let asked = Asked::Look { answer_id };
        self.call(user_id, asked, request, of_look).await?;
        Ok(())
    }

    async fn read_stats(&mut self, user_id: Uuid, token: &str) -> anyhow::Result<()> {
        let request = self
            .site()
            .request(Method::GET, "/api/stats/me", Some(token));
        self.call(user_id, Asked::Stats, request, |reply| {
            let stats: http::Stats = reply.read()?;
            let (answered, correct) = (stats.answered, stats.correct);
            Some(Heard::Stats { answered, correct })
        })
        .await?;
        Ok(())
    }

    async fn read_board(&mut self, user_id: Uuid, token: &str) -> anyhow::Result<()> {
        let quiz_mode = *QuizMode::ALL.choose(&mut self.random).context("a mode")?;
        let path = format!("/api/leaderboard?quizMode={quiz_mode}");
        let request = self.site().request(Method::GET, &path, Some(token));
        self.call(user_id, Asked::Board { quiz_mode }, request, |reply| {
            let board: Leaderboard = reply.read()?;
            let score = board.me.map(|me| me.score);
            Some(Heard::Board { score })
        })
        .await?;
        Ok(())
    }

    /// Calls, and keeps what was heard: `read` reads a success.
    async fn call(
        &mut self,
        user_id: Uuid,
        asked: Asked,
        request: RequestBuilder,
        read: impl Fn(&Reply) -> Option<Heard>,
    ) -> anyhow::Result<(Heard, Reply)> {
        let patience = match PATIENCE.choose(&mut self.random) {
            Some(patience) if self.all.history.has_counted() => *patience,
            _ => PATIENCE[PATIENCE.len() - 1],
        };
        let began = self.all.history.now();
        let reply = send(request.timeout(Duration::from_secs(patience))).await;
        let heard = hear(&reply, read);
        if matches!(reply.outcome, Outcome::Lost(_) | Outcome::Timeout) {
            self.gateway = 1 - self.gateway;
        }
        self.all.history.keep(Call {
            client: self.number,
            user_id,
            began,
            ended: self.all.history.now(),
            asked,
            heard: heard.clone(),
        })?;
        Ok((heard, reply))
    }
}

/// What a reply tells; a success that cannot be read tells nothing.
fn hear(reply: &Reply, read: impl Fn(&Reply) -> Option<Heard>) -> Heard {
    let unknown = || Heard::Unknown {
        how: reply.outcome.to_string(),
    };
    let told = match &reply.outcome {
        Outcome::Done(_) => read(reply),
        Outcome::Pending => {
            let answer_id = id(reply, "/id");
            answer_id.map(|answer_id| Heard::Pending { answer_id })
        }
        Outcome::Compensated => {
            let answer_id = id(reply, "/answerId");
            answer_id.map(|answer_id| Heard::Compensated { answer_id })
        }
        // Who gave up waiting (408) or was cut off (499) was perhaps taken in. So was one that the
        // gateway sent to both replicas: the second finds the player busy (409), the first goes on.
        Outcome::Refused(408 | 409 | 499, _) => None,
        Outcome::Refused(status @ 400..500, code) => Some(Heard::Refused {
            status: *status,
            code: code.clone(),
        }),
        Outcome::Refused(..) | Outcome::Timeout | Outcome::Lost(_) => None,
    };
    told.unwrap_or_else(unknown)
}

fn id(reply: &Reply, pointer: &str) -> Option<Uuid> {
    reply.member(pointer)?.as_str()?.parse().ok()
}

fn of_answer(reply: &Reply) -> Option<Heard> {
    reply.read::<http::Answer>().map(completed)
}

fn completed(answer: http::Answer) -> Heard {
    Heard::Completed {
        answer_id: answer.id,
        is_correct: answer.is_correct,
        streak: answer.streak,
        points: answer.score,
        score: answer.leaderboard.map(|standing| standing.score),
    }
}

fn of_look(reply: &Reply) -> Option<Heard> {
    match reply.read()? {
        AnswerState::Completed(answer) => Some(completed(answer)),
        AnswerState::Other(other) => {
            let answer_id = other.id;
            Some(match other.status {
                AnswerStatus::Compensated => Heard::Compensated { answer_id },
                _ => Heard::Pending { answer_id },
            })
        }
    }
}

/// Waits until somebody was told that an answer counts.
///
/// # Errors
/// When nobody is within the time.
pub async fn first_answer(history: &History, within: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !history.has_counted() {
        anyhow::ensure!(
            begun.elapsed() < within,
            "no answer came through within {within:?}"
        );
        sleep(LOOK).await;
    }
    Ok(())
}
