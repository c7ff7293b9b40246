//! The three services with one log and one bus in this process, spoken to over HTTP.

mod broker;
mod client;
mod operator;

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use axum::{Json, Router, routing::get};
use bus::{Bus, InProcessBus};
use chassis::Shutdown;
use contracts::{
    Difficulty, Event, Payload,
    events::{Choice, QuestionCreated},
};
use database::{Database, Options};
use event_store::{
    Append, Log, LogOptions,
    publisher::{Publisher, PublisherState},
};
use service::Shared;
use testkit::{Backend, CommitFaults, TempDir, eventually, free_port};
use time::OffsetDateTime;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

pub(crate) use self::{
    client::{Answer, Player, body},
    operator::Books,
};

/// Long enough for a busy machine; a condition that holds is seen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Which database everything runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// A service of this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Quiz,
    Achievement,
    Leaderboard,
}

pub(crate) const PARTICIPANTS: [Part; 2] = [Part::Achievement, Part::Leaderboard];
pub(crate) const PARTS: [Part; 3] = [Part::Quiz, Part::Achievement, Part::Leaderboard];

/// How the world differs from an ordinary one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) kind: Kind,
    pub(crate) answer_deadline: Duration,
    pub(crate) predecessor_wait: Duration,
}

impl Setting {
    pub(crate) fn on(kind: Kind) -> Self {
        Self {
            kind,
            answer_deadline: Duration::from_secs(30),
            predecessor_wait: Duration::from_secs(30),
        }
    }
}

pub(crate) struct World {
    setting: Setting,
    shared: Shared,
    /// Where each service is as a process of its own: its own way to the log and the bus.
    apart: HashMap<Part, Shared>,
    publishing: watch::Receiver<PublisherState>,
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

async fn backend(kind: Kind) -> Backend {
    match kind {
        Kind::Sqlite => Backend::sqlite(),
        Kind::Postgres => Backend::postgres().await,
    }
}

impl World {
    /// Starts all three services, ready to serve, with [`question`]s 0 to 9.
    pub(crate) async fn start(setting: Setting) -> Self {
        Self::start_over(setting, None).await
    }

    /// As [`World::start`], over the NATS at this address instead of a bus in this process; each
    /// service then has a log and a connection of its own.
    pub(crate) async fn start_over(setting: Setting, nats: Option<&str>) -> Self {
        let end = Shutdown::new();
        let log_home = backend(setting.kind).await;
        let log = Log::open(
            &log_home.url,
            LogOptions {
                personal: Some(
                    event_store::MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys"),
                ),
                ..LogOptions::default()
            },
        )
        .await
        .expect("a log");
        let bus: Arc<dyn Bus> = match nats {
            None => Arc::new(InProcessBus::new()),
            Some(url) => broker::publishes_to(url).await,
        };
        let publisher = Publisher::new(log.clone(), Arc::clone(&bus));
        let publishing = publisher.state();
        tokio::spawn(publisher.run(end.clone()));
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
            apart: broker::apart(&log_home.url, nats).await,
            publishing,
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
    pub(crate) async fn boot(&mut self, part: Part) {
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
    pub(crate) async fn stop(&mut self, part: Part) {
        let running = self.home_mut(part).running.take();
        if let Some((shutdown, task)) = running {
            shutdown.trigger();
            task.await.expect("no panic").expect("an orderly end");
        }
    }

    /// Ends a service whose commits fail by now, and starts it again on what is durable.
    pub(crate) async fn restart_dead(&mut self, part: Part) {
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
        let shared = self.apart.get(&part).unwrap_or(&self.shared).clone();
        let jwks_url = self.jwks_url.clone();
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
        for n in 0..10 {
            self.publish(&created(n), &format!("questions-{}", question(n)))
                .await;
        }
        self.caught_up(Part::Quiz).await;
    }

    /// Appends another service's event to the log.
    pub(crate) async fn publish<P: Payload>(&self, payload: &P, stream: &str) {
        let id = Uuid::now_v7();
        let event = Event {
            id,
            event_type: P::TYPE.to_owned(),
            stream: stream.to_owned(),
            aggregate_id: stream.to_owned(),
            version: 1,
            schema_version: P::SCHEMA_VERSION,
            payload: serde_json::to_value(payload).expect("JSON"),
            timestamp: OffsetDateTime::now_utc(),
            correlation_id: id,
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "elsewhere".to_owned(),
            traceparent: None,
        };
        self.shared
            .log
            .append(vec![Append::exact(event)])
            .await
            .expect("appended");
    }

    /// Breaks the service's commits as a test wants it.
    pub(crate) fn faults(&self, part: Part) -> &CommitFaults {
        &self.home(part).faults
    }

    /// A second connection to a service's database, to tamper with it.
    pub(crate) async fn database(&self, part: Part) -> Database {
        self.home(part).backend.open(Options::default()).await
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
pub(crate) fn question(n: u128) -> Uuid {
    Uuid::from_u128(0x9000_0000_0000_0000 + n)
}

/// Question `n` is easy, and `a` is right.
fn created(n: u128) -> QuestionCreated {
    let choices = ["a", "b", "c", "d"].map(|id| Choice {
        id: id.to_owned(),
        text: format!("choice {id}"),
    });
    QuestionCreated {
        question_id: question(n),
        text: format!("question {n}"),
        category: "rust".to_owned(),
        difficulty: Difficulty::Easy,
        choices: choices.to_vec(),
        correct_choice_id: "a".to_owned(),
        tags: Vec::new(),
        version: 1,
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
