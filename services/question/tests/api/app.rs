//! The whole service on free ports, with a database and a log of its own.

use std::{collections::BTreeSet, time::Duration};

use chassis::Shutdown;
use contracts::{Event, Payload, Recorded};
use database::Database;
use event_store::{Append, Expected, Log, LogOptions, ReadQuery};
use question::Config;
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, Issuer, TempDir, eventually};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One replica on its port.
pub(crate) struct Replica {
    base: String,
    client: reqwest::Client,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

/// A replica with what it shares with others.
pub(crate) struct App {
    replica: Replica,
    pub(crate) issuer: Issuer,
    pub(crate) log: Log,
    pub(crate) backend: Backend,
    _folder: TempDir,
}

impl std::ops::Deref for App {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        &self.replica
    }
}

/// An answer with what a cache looks at.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) tag: Option<String>,
    pub(crate) control: Option<String>,
    pub(crate) body: String,
}

impl App {
    pub(crate) async fn start(backend: Backend) -> Self {
        let folder = testkit::temp_dir();
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        let log = Log::open(&log, LogOptions::default()).await.expect("a log");
        let issuer = Issuer::start().await;
        let replica = Replica::start(&backend, &log, &issuer).await;
        Self {
            replica,
            issuer,
            log,
            backend,
            _folder: folder,
        }
    }

    /// Another replica on the same database.
    pub(crate) async fn beside(&self) -> Replica {
        Replica::start(&self.backend, &self.log, &self.issuer).await
    }

    pub(crate) async fn stop(self) {
        self.replica.stop().await;
    }

    /// Its database, for what no path shows.
    pub(crate) async fn database(&self) -> Database {
        self.backend.open(database::Options::default()).await
    }

    /// A player's token.
    pub(crate) fn token(&self, user_id: Uuid) -> String {
        self.issuer.token(user_id, "ada", &["user"])
    }

    /// The log's events of this type.
    pub(crate) async fn logged(&self, kind: &str) -> Vec<Recorded> {
        let query = ReadQuery::after(0).types([kind]).limit(1_000);
        self.log.read(&query).await.expect("events")
    }

    pub(crate) async fn append<P: Payload>(&self, question: Uuid, version: i64, payload: &P) {
        let payload = serde_json::to_value(payload).expect("JSON");
        self.append_raw(question, version, P::TYPE, payload).await;
    }

    pub(crate) async fn append_raw(&self, question: Uuid, version: i64, kind: &str, body: Value) {
        let id = Uuid::now_v7();
        let event = Event {
            id,
            event_type: kind.to_owned(),
            stream: format!("question-{question}"),
            aggregate_id: question.to_string(),
            version,
            schema_version: 1,
            payload: body,
            timestamp: OffsetDateTime::now_utc(),
            correlation_id: id,
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "admin".to_owned(),
            traceparent: None,
        };
        let append = Append {
            event,
            expected: Expected::Any,
        };
        self.log.append(vec![append]).await.expect("an append");
    }
}

impl Replica {
    async fn start(backend: &Backend, log: &Log, issuer: &Issuer) -> Self {
        let config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: backend.url.clone(),
            jwks_url: issuer.jwks_url(),
            ..Config::default()
        };
        let base = format!("http://{}", config.listen);
        let (client, shutdown) = (reqwest::Client::new(), Shutdown::new());
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let mut running = tokio::spawn(question::run(config, shared, shutdown.clone()));
        let serving = eventually(PATIENCE, || async {
            let ready = client.get(format!("{base}/health/ready")).send().await?;
            Ok::<_, reqwest::Error>(ready.status().is_success())
        });
        tokio::select! {
            ended = &mut running => panic!("the service ended at its start: {ended:?}"),
            () = serving => {}
        }
        Self {
            base,
            client,
            shutdown,
            running,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.await.expect("no panic").expect("a clean end");
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let response = self.client.get(url).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("a body"))
    }

    /// A read with what it says to caches.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Raw {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        Raw {
            status: response.status().as_u16(),
            tag: header("etag"),
            control: header("cache-control"),
            body: response.text().await.expect("a body"),
        }
    }

    /// Draws a question for whoever the token names.
    pub(crate) async fn draw(&self, query: &str, token: Option<&str>) -> (u16, Value) {
        let url = format!("{}/api/questions/random?{query}", self.base);
        let mut request = self.client.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("a body"))
    }

    /// The id of the question drawn.
    pub(crate) async fn drawn(&self, query: &str, token: &str) -> Uuid {
        let (status, body) = self.draw(query, Some(token)).await;
        assert_eq!(status, 200, "{body}");
        body["id"].as_str().expect("id").parse().expect("id")
    }

    pub(crate) async fn post(&self, path: &str) -> u16 {
        let url = format!("{}{path}", self.base);
        let response = self
            .client
            .post(url)
            .json(&json!({}))
            .send()
            .await
            .expect("an answer");
        response.status().as_u16()
    }

    /// The ids of a page.
    pub(crate) async fn ids(&self, query: &str) -> BTreeSet<Uuid> {
        let (status, page) = self.get(&format!("/api/questions?{query}")).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().expect("items");
        items
            .iter()
            .map(|item| item["id"].as_str().expect("id").parse().expect("id"))
            .collect()
    }

    /// Waits until these questions are shown, and no others.
    pub(crate) async fn shows(&self, ids: &[Uuid]) {
        let expected: BTreeSet<Uuid> = ids.iter().copied().collect();
        eventually(PATIENCE, || async {
            self.ids("limit=100").await == expected
        })
        .await;
    }
}
