//! The whole service on a free port, with a database and a log of its own. The test answers its
//! asks as achievement and leaderboard would.

use std::time::Duration;

use chassis::Shutdown;
use contracts::{
    Difficulty, Event, Payload, QuizMode,
    events::{
        AchievementCheckFailed, AchievementChecked, AchievementRevoked, Choice,
        LeaderboardEntryReverted, LeaderboardEntryUpdated, QuestionCreated,
    },
};
use database::{Database, params};
use event_store::{Append, Expected, Log, LogOptions, ReadQuery};
use quiz::Config;
use reqwest::Method;
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, Issuer, TempDir, eventually};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The only question; `b` is right.
pub(crate) const QUESTION: Uuid = Uuid::from_u128(42);

/// The name in all tokens; must not be found anywhere once its user left.
pub(crate) const NAME: &str = "Ada Lovelace";

pub(crate) struct App {
    base: String,
    client: reqwest::Client,
    issuer: Issuer,
    log: Log,
    backend: Backend,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

/// Status and body.
pub(crate) type Answer = (u16, Value);

impl App {
    /// With a deadline that no test waits for.
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::start_with(backend, |_| {}).await
    }

    pub(crate) async fn start_with(backend: Backend, change: impl FnOnce(&mut Config)) -> Self {
        let folder = testkit::temp_dir();
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        let log = Log::open(
            &log,
            LogOptions {
                personal: Some(
                    event_store::MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys"),
                ),
                ..LogOptions::default()
            },
        )
        .await
        .expect("a log");
        let issuer = Issuer::start().await;
        let mut config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: backend.url.clone(),
            jwks_url: issuer.jwks_url(),
            answer_deadline_ms: 600_000,
            ..Config::default()
        };
        change(&mut config);
        let base = format!("http://{}", config.listen);
        let (client, shutdown) = (reqwest::Client::new(), Shutdown::new());
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let mut running = tokio::spawn(quiz::run(config, shared, shutdown.clone()));
        let serving = eventually(PATIENCE, || async {
            let ready = client.get(format!("{base}/health/ready")).send().await?;
            Ok::<_, reqwest::Error>(ready.status().is_success())
        });
        tokio::select! {
            ended = &mut running => panic!("the service ended at its start: {ended:?}"),
            () = serving => {}
        }
        let app = Self {
            base,
            client,
            issuer,
            log,
            backend,
            shutdown,
            running,
            _folder: folder,
        };
        app.append(None, &question()).await;
        app.caught_up().await;
        app
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.await.expect("no panic").expect("a clean end");
    }

    pub(crate) async fn database(&self) -> Database {
        self.backend.open(database::Options::default()).await
    }

    /// Any request, as this user; the body is sent as it is.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        user_id: Option<Uuid>,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> reqwest::Response {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method, url);
        if let Some(user_id) = user_id {
            request = request.bearer_auth(self.issuer.token(user_id, NAME, &["user"]));
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    pub(crate) async fn post(&self, user_id: Uuid, body: &str, headers: &[(&str, &str)]) -> Answer {
        let path = "/api/answers";
        read(
            self.send(Method::POST, path, Some(user_id), headers, Some(body))
                .await,
        )
        .await
    }

    /// Gives the right answer and does not wait; its id.
    pub(crate) async fn answer(&self, user_id: Uuid) -> Uuid {
        let key = Uuid::now_v7().to_string();
        let headers = [("prefer", "respond-async"), ("idempotency-key", &*key)];
        let (status, body) = self.post(user_id, &right().to_string(), &headers).await;
        assert_eq!(status, 202, "{body}");
        body["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id")
    }

    pub(crate) async fn get(&self, user_id: Uuid, path: &str) -> Answer {
        read(self.send(Method::GET, path, Some(user_id), &[], None).await).await
    }

    pub(crate) async fn stats(&self, user_id: Uuid) -> Value {
        self.get(user_id, "/api/stats/me").await.1
    }

    pub(crate) async fn operate(&self, path: &str) {
        let answer = self.send(Method::POST, path, None, &[], Some("{}")).await;
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }

    /// Stops the consumer of accounts' events, or lets it go on.
    pub(crate) async fn accounts(&self, verb: &str) {
        self.operate(&format!("/ops/consumers/accounts/{verb}"))
            .await;
    }

    /// Appends another service's event to the log.
    pub(crate) async fn append<P: Payload>(&self, saga: Option<(Uuid, &str)>, payload: &P) {
        let id = Uuid::now_v7();
        let event = Event {
            id,
            event_type: P::TYPE.to_owned(),
            stream: format!("elsewhere-{id}"),
            aggregate_id: String::new(),
            version: 1,
            schema_version: P::SCHEMA_VERSION,
            payload: serde_json::to_value(payload).expect("JSON"),
            timestamp: OffsetDateTime::now_utc(),
            correlation_id: id,
            causation_id: None,
            saga_id: saga.map(|(id, _)| id),
            step: saga.map(|(_, step)| step.to_owned()),
            service_id: "elsewhere".to_owned(),
            traceparent: None,
        };
        let append = Append {
            event,
            expected: Expected::Any,
        };
        self.log.append(vec![append]).await.expect("an append");
    }

    /// Waits until every event so far is handled.
    pub(crate) async fn caught_up(&self) {
        let head = self.log.head().await.expect("a head").position;
        let path = format!("/ops/audit/answers?limit=1&position={head}");
        eventually(PATIENCE, || async {
            let answer = self.send(Method::GET, &path, None, &[], None).await;
            answer.status().is_success()
        })
        .await;
    }

    /// Waits until the log has so many events of this type about this answer.
    pub(crate) async fn logged(&self, kind: &str, answer_id: Uuid, count: usize) {
        eventually(PATIENCE, || async {
            let query = ReadQuery::after(0).types([kind]).limit(1_000);
            let events = self.log.read(&query).await.expect("events");
            let id = answer_id.to_string();
            let of = |event: &&contracts::Recorded| event.event.payload["answerId"] == id;
            let found = events.iter().filter(of).count();
            assert!(found <= count, "{kind}: {found} of {count}");
            found == count
        })
        .await;
    }

    /// What a participant says about an answer, once it is handled.
    pub(crate) async fn says(&self, says: Says, answer_id: Uuid, user_id: Uuid) {
        self.append_reply(says, answer_id, user_id).await;
        self.caught_up().await;
    }

    /// What a participant says about an answer.
    pub(crate) async fn append_reply(&self, says: Says, answer_id: Uuid, user_id: Uuid) {
        let (quiz_mode, earned) = (QuizMode::Classic, Vec::new());
        let reason = "the account was deleted".to_owned();
        let badges = Some((answer_id, "achievements"));
        let boards = Some((answer_id, "leaderboard"));
        match says {
            Says::Checked => {
                let checked = AchievementChecked {
                    answer_id,
                    user_id,
                    earned,
                };
                self.append(badges, &checked).await;
            }
            Says::Refused => {
                let failed = AchievementCheckFailed {
                    answer_id,
                    user_id,
                    reason,
                };
                self.append(badges, &failed).await;
            }
            Says::BadgesUndone => {
                let revoked = AchievementRevoked {
                    answer_id,
                    user_id,
                    badges: earned,
                };
                self.append(badges, &revoked).await;
            }
            Says::Scored => {
                let updated = LeaderboardEntryUpdated {
                    answer_id,
                    user_id,
                    quiz_mode,
                    score: 10,
                    position: 1,
                };
                self.append(boards, &updated).await;
            }
            Says::ScoreUndone => {
                let reverted = LeaderboardEntryReverted {
                    answer_id,
                    user_id,
                    quiz_mode,
                    score: 0,
                };
                self.append(boards, &reverted).await;
            }
        }
    }

    /// What was told of this service's portion of a maintenance run.
    pub(crate) async fn done(&self, run_id: Uuid) -> Option<Value> {
        let query = ReadQuery::after(0).types(["maintenance.done"]).limit(1_000);
        let events = self.log.read(&query).await.expect("events");
        let mut told = events.into_iter().map(|recorded| recorded.event.payload);
        told.find(|payload| payload["runId"] == run_id.to_string())
    }

    /// The player's undecided answer.
    pub(crate) async fn undecided(&self, user_id: Uuid) -> Option<Uuid> {
        let database = self.database().await;
        let sql = "SELECT id FROM answers WHERE user_id = $1 AND status = 'pending'";
        let row: Option<(Uuid,)> = database
            .fetch_optional(sql, params![user_id])
            .await
            .expect("a row");
        database.close().await;
        row.map(|(id,)| id)
    }

    /// Lets the answer complete, or be taken back.
    pub(crate) async fn ends(&self, life: &[Says], answer_id: Uuid, user_id: Uuid) {
        for says in life {
            self.says(*says, answer_id, user_id).await;
        }
    }

    /// All that the service's own tables say, but for who left and for what is a copy of the log.
    pub(crate) async fn written(&self) -> String {
        let database = self.database().await;
        let mut text = String::new();
        for table in [
            "answers",
            "stats",
            "idempotency_keys",
            "sagas",
            "saga_transitions",
            "saga_replies",
            "saga_deadlines",
            "parked_events",
        ] {
            let (postgres, sqlite) = match table {
                "answers" => (
                    "SELECT a::text FROM answers a",
                    "SELECT hex(user_id) FROM answers",
                ),
                "stats" => (
                    "SELECT s::text FROM stats s",
                    "SELECT hex(user_id) FROM stats",
                ),
                "idempotency_keys" => (
                    "SELECT k::text FROM idempotency_keys k",
                    "SELECT hex(subject) FROM idempotency_keys",
                ),
                "sagas" => (
                    "SELECT s::text FROM sagas s",
                    "SELECT data || steps FROM sagas",
                ),
                "saga_transitions" => (
                    "SELECT t::text FROM saga_transitions t",
                    "SELECT inputs FROM saga_transitions",
                ),
                "saga_replies" => (
                    "SELECT r::text FROM saga_replies r",
                    "SELECT event FROM saga_replies",
                ),
                "saga_deadlines" => (
                    "SELECT d::text FROM saga_deadlines d",
                    "SELECT step FROM saga_deadlines",
                ),
                _ => (
                    "SELECT p::text FROM parked_events p",
                    "SELECT event FROM parked_events",
                ),
            };
            let sql = database::Sql::by_dialect(postgres, sqlite);
            let rows: Vec<(String,)> = database.fetch_all(sql, params![]).await.expect("rows");
            for (row,) in rows {
                text.push_str(&format!("{table}: {row}\n"));
            }
        }
        database.close().await;
        text
    }
}

/// What a participant can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Checked,
    Refused,
    BadgesUndone,
    Scored,
    ScoreUndone,
}

/// An answer that counts.
pub(crate) const COMPLETES: [Says; 2] = [Says::Checked, Says::Scored];

/// An answer that is taken back.
pub(crate) const TAKEN_BACK: [Says; 4] = [
    Says::Scored,
    Says::Refused,
    Says::BadgesUndone,
    Says::ScoreUndone,
];

/// The right answer.
pub(crate) fn right() -> Value {
    json!({ "questionId": QUESTION, "choiceId": "b", "quizMode": "classic" })
}

pub(crate) async fn read(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    (status, response.json().await.expect("a body"))
}

fn question() -> QuestionCreated {
    let choice = |id: &str| Choice {
        id: id.to_owned(),
        text: format!("choice {id}"),
    };
    QuestionCreated {
        question_id: QUESTION,
        text: "Is it?".to_owned(),
        category: "rust".to_owned(),
        difficulty: Difficulty::Easy,
        choices: ["a", "b", "c", "d"].map(choice).to_vec(),
        correct_choice_id: "b".to_owned(),
        tags: Vec::new(),
        version: 1,
    }
}
