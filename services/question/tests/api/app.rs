//! The whole service on a free port, with a database and a log of its own.

use std::{collections::BTreeSet, time::Duration};

use chassis::Shutdown;
use contracts::{Event, Payload};
use event_store::{Append, Expected, Log, LogOptions};
use question::Config;
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, TempDir, eventually};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct App {
    base: String,
    client: reqwest::Client,
    log: Log,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
    _backend: Backend,
    _folder: TempDir,
}

impl App {
    pub(crate) async fn start(backend: Backend) -> Self {
        let folder = testkit::temp_dir();
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        let log = Log::open(&log, LogOptions::default()).await.expect("a log");
        let config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: backend.url.clone(),
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
            log,
            shutdown,
            running,
            _backend: backend,
            _folder: folder,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let response = self.client.get(url).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("a body"))
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

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.await.expect("no panic").expect("a clean end");
    }
}
