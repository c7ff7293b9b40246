//! Replicas of the service on free ports, with one database, a log and an issuer of tokens.

use std::time::Duration;

use chassis::Shutdown;
use contracts::{
    Difficulty, Event, Payload, QuizMode,
    events::{
        AchievementUnlocked, AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmitted, BadgeRef,
    },
};
use database::{Database, Options};
use event_store::{Append, Expected, Log, LogOptions};
use leaderboard::{Config, config::Bonus};
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, Issuer, TempDir, eventually};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct App {
    pub(crate) client: reqwest::Client,
    pub(crate) issuer: Issuer,
    pub(crate) replicas: Vec<Replica>,
    log: Log,
    backend: Backend,
    bonus: Bonus,
    max_streams: usize,
    _folder: TempDir,
}

pub(crate) struct Replica {
    pub(crate) base: String,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

/// An answer on its way through the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) quiz_mode: QuizMode,
}

pub(crate) fn user(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl App {
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::start_with(backend, Bonus::default(), 10).await
    }

    pub(crate) async fn start_with(backend: Backend, bonus: Bonus, max_streams: usize) -> Self {
        let folder = testkit::temp_dir();
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        let mut app = Self {
            client: reqwest::Client::new(),
            issuer: Issuer::start().await,
            replicas: Vec::new(),
            log: Log::open(
                &log,
                LogOptions {
                    personal: Some(
                        event_store::MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys"),
                    ),
                    ..LogOptions::default()
                },
            )
            .await
            .expect("a log"),
            backend,
            bonus,
            max_streams,
            _folder: folder,
        };
        app.another().await;
        app
    }

    /// Starts one more replica on the same data.
    pub(crate) async fn another(&mut self) {
        let config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: self.backend.url.clone(),
            jwks_url: self.issuer.jwks_url(),
            bonus: self.bonus.clone(),
            max_streams: self.max_streams,
            ..Config::default()
        };
        let base = format!("http://{}", config.listen);
        let shutdown = Shutdown::new();
        let shared = Shared {
            log: self.log.clone(),
            bus: None,
        };
        let mut running = tokio::spawn(leaderboard::run(config, shared, shutdown.clone()));
        let serving = eventually(PATIENCE, || async {
            let ready = self
                .client
                .get(format!("{base}/health/ready"))
                .send()
                .await?;
            Ok::<_, reqwest::Error>(ready.status().is_success())
        });
        tokio::select! {
            ended = &mut running => panic!("the service ended at its start: {ended:?}"),
            () = serving => {}
        }
        self.replicas.push(Replica {
            base,
            shutdown,
            running,
        });
    }

    /// Ends a replica in order.
    pub(crate) async fn stop(&mut self, replica: usize) {
        let replica = self.replicas.remove(replica);
        replica.shutdown.trigger();
        replica
            .running
            .await
            .expect("no panic")
            .expect("a clean end");
    }

    /// A second connection to the service's database.
    pub(crate) async fn database(&self) -> Database {
        self.backend.open(Options::default()).await
    }

    pub(crate) fn token(&self, number: u128) -> String {
        self.issuer.token(user(number), "somebody", &["user"])
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let url = format!("{}{path}", self.replicas[0].base);
        let mut request = self.client.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("a body"))
    }

    pub(crate) async fn ok(&self, path: &str, token: Option<&str>) -> Value {
        let (status, body) = self.get(path, token).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// What the audit says, once everything that is in the log was handled.
    pub(crate) async fn audit(&self, list: &str) -> Vec<Value> {
        let position = self.log.head().await.expect("a head").position;
        let path = format!("/ops/audit/{list}?position={position}");
        let page = self.ok(&path, None).await;
        page["items"].as_array().expect("items").clone()
    }

    /// Waits until everything that is in the log was handled.
    pub(crate) async fn settled(&self) {
        self.audit("entries").await;
    }

    pub(crate) async fn rebuild(&self) -> Value {
        let url = format!("{}/ops/boards/rebuild", self.replicas[0].base);
        let response = self.client.post(url).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        response.json().await.expect("a body")
    }

    /// An answer worth `points`, submitted now.
    pub(crate) async fn answer(&self, number: u128, quiz_mode: QuizMode, points: i64) -> Given {
        let now = OffsetDateTime::now_utc();
        self.answer_at(number, quiz_mode, points, now).await
    }

    pub(crate) async fn answer_at(
        &self,
        number: u128,
        quiz_mode: QuizMode,
        points: i64,
        at: OffsetDateTime,
    ) -> Given {
        let given = Given {
            id: Uuid::now_v7(),
            user_id: user(number),
            quiz_mode,
        };
        let submitted = AnswerSubmitted {
            answer_id: given.id,
            user_id: given.user_id,
            display_name: format!("player {number}").into(),
            question_id: Uuid::nil(),
            choice_id: "a".to_owned(),
            quiz_mode,
            category: "rust".to_owned(),
            difficulty: Difficulty::Easy,
            is_correct: points > 0,
            points,
            streak: 1,
        };
        self.publish_at(&submitted, given.user_id, Some(given.id), at)
            .await;
        given
    }

    pub(crate) async fn complete(&self, given: Given) {
        let completed = AnswerSubmissionCompleted {
            answer_id: given.id,
            user_id: given.user_id,
        };
        self.publish(&completed, given.user_id, Some(given.id))
            .await;
    }

    pub(crate) async fn revoke(&self, given: Given) {
        let revoked = AnswerRevoked {
            answer_id: given.id,
            user_id: given.user_id,
            quiz_mode: given.quiz_mode,
            reason: "too late".to_owned(),
        };
        self.publish(&revoked, given.user_id, Some(given.id)).await;
    }

    pub(crate) async fn unlock(&self, given: Given, badge: &str) {
        let unlocked = AchievementUnlocked {
            answer_id: given.id,
            user_id: given.user_id,
            badge: BadgeRef {
                id: badge.to_owned(),
                name: badge.to_owned(),
            },
        };
        self.publish(&unlocked, given.user_id, None).await;
    }

    pub(crate) async fn publish<P: Payload>(&self, payload: &P, who: Uuid, saga: Option<Uuid>) {
        let now = OffsetDateTime::now_utc();
        self.publish_at(payload, who, saga, now).await;
    }

    async fn publish_at<P: Payload>(
        &self,
        payload: &P,
        who: Uuid,
        saga_id: Option<Uuid>,
        timestamp: OffsetDateTime,
    ) {
        let id = Uuid::now_v7();
        let event = Event {
            id,
            event_type: P::TYPE.to_owned(),
            stream: format!("test-{who}"),
            aggregate_id: who.to_string(),
            version: 1,
            schema_version: P::SCHEMA_VERSION,
            payload: json!(payload),
            timestamp,
            correlation_id: id,
            causation_id: None,
            saga_id,
            step: None,
            service_id: "elsewhere".to_owned(),
            traceparent: None,
        };
        let append = Append {
            event,
            expected: Expected::Any,
        };
        self.log.append(vec![append]).await.expect("an append");
    }
}

/// Places, players and scores of a list.
pub(crate) fn lines(list: &Value) -> Vec<(i64, u128, i64)> {
    let line = |line: &Value| {
        let user: Uuid = line["userId"].as_str().expect("text").parse().expect("id");
        (
            line["position"].as_i64().expect("a number"),
            user.as_u128(),
            line["score"].as_i64().expect("a number"),
        )
    };
    list.as_array().expect("a list").iter().map(line).collect()
}
