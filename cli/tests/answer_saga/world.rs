//! The three services with one log and one bus in this process, spoken to over HTTP.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use axum::{Json, Router, routing::get};
use bus::{Bus, InProcessBus};
use chassis::Shutdown;
use contracts::{
    Claims, Difficulty, Event, Payload,
    audit::{
        CheckedAnswer, CheckedPlayer, CountedStats, Page, RecordedAnswer, ScoredAnswer, ScoredEntry,
    },
    events::{Choice, QuestionCreated},
};
use database::{Database, Options};
use event_store::{Append, Log, LogOptions, ReadQuery, publisher};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, CommitFaults, TempDir, eventually, free_port};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Long enough for a busy machine; a condition that holds is seen at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Which database everything runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A service of this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Quiz,
    Achievement,
    Leaderboard,
}

pub const PARTICIPANTS: [Part; 2] = [Part::Achievement, Part::Leaderboard];
pub const PARTS: [Part; 3] = [Part::Quiz, Part::Achievement, Part::Leaderboard];

/// How the world differs from an ordinary one.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub kind: Kind,
    pub answer_deadline: Duration,
    pub predecessor_wait: Duration,
}

impl Setting {
    pub fn on(kind: Kind) -> Self {
        Self {
            kind,
            answer_deadline: Duration::from_secs(30),
            predecessor_wait: Duration::from_secs(30),
        }
    }
}

pub struct World {
    setting: Setting,
    shared: Shared,
    jwks_url: String,
    signer: auth::keys::SigningKey,
    homes: HashMap<Part, Home>,
    client: reqwest::Client,
    end: Shutdown,
    _log_home: Backend,
    _keys: TempDir,
}

/// Where a service lives, and the process that it is at the moment.
struct Home {
    backend: Backend,
    port: u16,
    faults: Arc<CommitFaults>,
    running: Option<(Shutdown, JoinHandle<anyhow::Result<()>>)>,
}

/// Somebody who answers.
#[derive(Clone, Debug)]
pub struct Player {
    pub id: Uuid,
    token: String,
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

/// What all three services hold, as their audits tell.
#[derive(Debug)]
pub struct Books {
    pub answers: Vec<RecordedAnswer>,
    pub stats: Vec<CountedStats>,
    pub checked: Vec<CheckedAnswer>,
    pub players: Vec<CheckedPlayer>,
    pub scored: Vec<ScoredAnswer>,
    pub entries: Vec<ScoredEntry>,
}

async fn backend(kind: Kind) -> Backend {
    match kind {
        Kind::Sqlite => Backend::sqlite(),
        Kind::Postgres => Backend::postgres().await,
    }
}

impl World {
    /// Starts all three services, ready to serve, with [`question`]s 0 to 9.
    pub async fn start(setting: Setting) -> Self {
        let end = Shutdown::new();
        let log_home = backend(setting.kind).await;
        let log = Log::open(&log_home.url, LogOptions::default())
            .await
            .expect("a log");
        let bus: Arc<dyn Bus> = Arc::new(InProcessBus::new());
        tokio::spawn(publisher::run(log.clone(), Arc::clone(&bus), end.clone()));
        let keys = testkit::temp_dir();
        let signer = signer(keys.path());
        let mut homes = HashMap::new();
        for part in PARTS {
            let backend = backend(setting.kind).await;
            let home = Home {
                backend,
                port: free_port(),
                faults: CommitFaults::new(),
                running: None,
            };
            homes.insert(part, home);
        }
        let mut world = Self {
            setting,
            shared: Shared {
                log,
                bus: Some(bus),
            },
            jwks_url: serve_keys(&signer, end.clone()).await,
            signer,
            homes,
            client: reqwest::Client::new(),
            end,
            _log_home: log_home,
            _keys: keys,
        };
        for part in PARTS {
            world.boot(part).await;
        }
        world.publish_questions().await;
        world
    }

    /// Starts a service that does not run, and waits until it is ready.
    pub async fn boot(&mut self, part: Part) {
        let shutdown = self.end.child();
        let task = self.spawn(part, shutdown.clone());
        self.home_mut(part).running = Some((shutdown, task));
        let url = self.url(part, "/health/ready");
        let ready = async || {
            let answer = self.client.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        };
        eventually(PATIENCE, ready).await;
    }

    /// Lets a service end in order.
    pub async fn stop(&mut self, part: Part) {
        let running = self.home_mut(part).running.take();
        if let Some((shutdown, task)) = running {
            shutdown.trigger();
            task.await.expect("no panic").expect("an orderly end");
        }
    }

    /// Ends a service whose commits fail by now, and starts it again on what is durable.
    pub async fn restart_dead(&mut self, part: Part) {
        let running = self.home_mut(part).running.take();
        if let Some((shutdown, task)) = running {
            shutdown.trigger();
            // A dead process has no orderly end.
            let _ = task.await.expect("no panic");
        }
        self.home(part).faults.revive();
        self.boot(part).await;
    }

    fn spawn(&self, part: Part, shutdown: Shutdown) -> JoinHandle<anyhow::Result<()>> {
        let home = self.home(part);
        let listen = ([127, 0, 0, 1], home.port).into();
        let database = home.backend.url.clone();
        let database_options = Options {
            commit_hook: Some(home.faults.clone()),
            ..Options::default()
        };
        let (jwks_url, shared) = (self.jwks_url.clone(), self.shared.clone());
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).expect("short");
        match part {
            Part::Quiz => {
                let config = quiz::Config {
                    listen,
                    database,
                    database_options,
                    jwks_url,
                    answer_deadline_ms: millis(self.setting.answer_deadline),
                    predecessor_wait_ms: millis(self.setting.predecessor_wait),
                    ..quiz::Config::default()
                };
                tokio::spawn(quiz::run(config, shared, shutdown))
            }
            Part::Achievement => {
                let config = achievement::Config {
                    listen,
                    database,
                    database_options,
                    jwks_url,
                    ..achievement::Config::default()
                };
                tokio::spawn(achievement::run(config, shared, shutdown))
            }
            Part::Leaderboard => {
                let config = leaderboard::Config {
                    listen,
                    database,
                    database_options,
                    jwks_url,
                    ..leaderboard::Config::default()
                };
                tokio::spawn(leaderboard::run(config, shared, shutdown))
            }
        }
    }

    async fn publish_questions(&self) {
        let events = (0..10).map(|n| Append::exact(created(n))).collect();
        self.shared.log.append(events).await.expect("appended");
        self.caught_up(Part::Quiz).await;
    }

    /// Breaks the service's commits as a test wants it.
    pub fn faults(&self, part: Part) -> &CommitFaults {
        &self.home(part).faults
    }

    /// A second connection to a service's database, to tamper with it.
    pub async fn database(&self, part: Part) -> Database {
        self.home(part).backend.open(Options::default()).await
    }

    /// A player with a token.
    pub fn player(&self, name: &str) -> Player {
        let id = Uuid::now_v7();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = Claims {
            iss: Claims::ISSUER.to_owned(),
            aud: Claims::AUDIENCE.to_owned(),
            sub: id,
            name: name.to_owned(),
            roles: vec!["user".to_owned()],
            iat: now,
            exp: now + 3600,
            jti: Uuid::now_v7(),
        };
        let token = self.signer.sign(&claims).expect("a signed token");
        Player { id, token }
    }

    /// Answers question `n`; `a` is right, and the other choices are not.
    pub async fn answer(&self, player: &Player, n: u128, choice: &str) -> Answer {
        self.post(player, &body(n, choice), &[]).await
    }

    /// Posts an answer with headers.
    pub async fn post(&self, player: &Player, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self
            .client
            .post(self.url(Part::Quiz, "/api/answers"))
            .bearer_auth(&player.token)
            .json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send().await.expect("an answer")).await
    }

    /// Reads a path as the player.
    pub async fn get(&self, part: Part, player: &Player, path: &str) -> Answer {
        let request = self
            .client
            .get(self.url(part, path))
            .bearer_auth(&player.token);
        read(request.send().await.expect("an answer")).await
    }

    /// Calls an operator's verb.
    pub async fn operate(&self, part: Part, path: &str) -> Value {
        let answer = read(
            self.client
                .post(self.url(part, path))
                .send()
                .await
                .expect("an answer"),
        )
        .await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Stops a participant's consumer; nothing reaches the service from then on.
    pub async fn pause(&self, part: Part) {
        self.operate(part, &format!("/ops/consumers/{}/pause", consumer(part)))
            .await;
    }

    /// Lets a participant's consumer go on.
    pub async fn resume(&self, part: Part) {
        self.operate(part, &format!("/ops/consumers/{}/resume", consumer(part)))
            .await;
    }

    /// Where a saga stands, as its operator sees it.
    pub async fn saga(&self, id: &Value) -> Value {
        let id = id.as_str().expect("an id");
        let url = self.url(Part::Quiz, &format!("/ops/sagas/{id}"));
        read(self.client.get(url).send().await.expect("an answer"))
            .await
            .body
    }

    /// Waits until a saga is in a phase.
    pub async fn saga_ends(&self, id: &Value, phase: &str) {
        let there = async || {
            let saga = self.saga(id).await;
            if saga["phase"] == phase {
                Ok(())
            } else {
                Err(saga.to_string())
            }
        };
        eventually(PATIENCE, there).await;
    }

    /// Waits until nothing is on its way any more: no undecided saga, no unsent event, and every
    /// consumer at the log's head.
    pub async fn settled(&self) {
        eventually(PATIENCE, async || {
            let before = self.shared.log.head().await.expect("a head").position;
            let open = self.ops_get(Part::Quiz, "/ops/sagas?state=open").await;
            if open["items"]
                .as_array()
                .is_none_or(|items| !items.is_empty())
            {
                return Err(format!("undecided: {open}"));
            }
            for part in PARTS {
                let outbox = self.ops_get(part, "/ops/outbox").await;
                if outbox["unsent"] != 0 {
                    return Err(format!("{part:?}: {outbox}"));
                }
                self.caught_up(part).await;
            }
            let after = self.shared.log.head().await.expect("a head").position;
            if before == after {
                Ok(())
            } else {
                Err("the log moved".to_owned())
            }
        })
        .await;
    }

    /// Waits until a service's consumers are at the log's head.
    pub async fn caught_up(&self, part: Part) {
        let head = self.shared.log.head().await.expect("a head").position;
        let there = async || {
            let path = format!("/ops/audit/answers?limit=1&position={head}");
            let page = self.ops_get(part, &path).await;
            if page["items"].is_array() {
                Ok(())
            } else {
                Err(page.to_string())
            }
        };
        eventually(PATIENCE, there).await;
    }

    /// What the services hold, once nothing is on its way.
    pub async fn books(&self) -> Books {
        self.settled().await;
        Books {
            answers: self.audit(Part::Quiz, "answers").await,
            stats: self.audit(Part::Quiz, "stats").await,
            checked: self.audit(Part::Achievement, "answers").await,
            players: self.audit(Part::Achievement, "players").await,
            scored: self.audit(Part::Leaderboard, "answers").await,
            entries: self.audit(Part::Leaderboard, "entries").await,
        }
    }

    async fn audit<T: DeserializeOwned>(&self, part: Part, list: &str) -> Vec<T> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/ops/audit/{list}?limit=100{after}");
            let page: Page<T> =
                serde_json::from_value(self.ops_get(part, &path).await).expect("a page");
            items.extend(page.items);
            let Some(cursor) = page.next_cursor else {
                return items;
            };
            after = format!("&after={cursor}");
        }
    }

    /// Every event of the log, in order.
    pub async fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut position = 0;
        loop {
            let read = self
                .shared
                .log
                .read(&ReadQuery::after(position))
                .await
                .expect("a page");
            let Some(last) = read.last() else {
                return events;
            };
            position = last.position;
            events.extend(read.into_iter().map(|recorded| recorded.event));
        }
    }

    async fn ops_get(&self, part: Part, path: &str) -> Value {
        match self.client.get(self.url(part, path)).send().await {
            Ok(answer) => read(answer).await.body,
            Err(error) => json!({ "unreachable": error.to_string() }),
        }
    }

    fn url(&self, part: Part, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.home(part).port)
    }

    fn home(&self, part: Part) -> &Home {
        &self.homes[&part]
    }

    fn home_mut(&mut self, part: Part) -> &mut Home {
        self.homes.get_mut(&part).expect("every part has a home")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end.trigger();
    }
}

/// The id of question `n`.
pub fn question(n: u128) -> Uuid {
    Uuid::from_u128(0x9000_0000_0000_0000 + n)
}

/// The body that answers question `n` with `choice` in classic mode.
pub fn body(n: u128, choice: &str) -> Value {
    json!({ "questionId": question(n), "choiceId": choice, "quizMode": "classic" })
}

/// Question `n` is easy, and `a` is right.
fn created(n: u128) -> Event {
    let choices = ["a", "b", "c", "d"].map(|id| Choice {
        id: id.to_owned(),
        text: format!("choice {id}"),
    });
    let payload = QuestionCreated {
        question_id: question(n),
        text: format!("question {n}"),
        category: "rust".to_owned(),
        difficulty: Difficulty::Easy,
        choices: choices.to_vec(),
        correct_choice_id: "a".to_owned(),
    };
    let id = Uuid::now_v7();
    Event {
        id,
        event_type: QuestionCreated::TYPE.to_owned(),
        stream: format!("questions-{}", question(n)),
        aggregate_id: question(n).to_string(),
        version: 1,
        schema_version: QuestionCreated::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: id,
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: "question".to_owned(),
        traceparent: None,
    }
}

fn consumer(part: Part) -> &'static str {
    match part {
        Part::Quiz => sagas::CONSUMER,
        Part::Achievement => "badges",
        Part::Leaderboard => "boards",
    }
}

fn signer(folder: &Path) -> auth::keys::SigningKey {
    auth::keys::SigningKey::load_or_create(&folder.join("signing.pem")).expect("a key")
}

/// What the auth service does for the others: serves the public keys.
async fn serve_keys(signer: &auth::keys::SigningKey, end: Shutdown) -> String {
    let keys = serde_json::to_value(signer.jwks()).expect("JSON");
    let router = Router::new().route("/jwks.json", get(async move || Json(keys)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(chassis::http::serve(listener, router, end));
    format!("http://{address}/jwks.json")
}

async fn read(answer: reqwest::Response) -> Answer {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status,
        headers,
        body,
    }
}
