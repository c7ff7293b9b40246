//! The whole service on a free port, with a database and a log of its own; and what stands for its
//! neighbours: the keys of the auth service, and a question service that confirms.

use std::{collections::HashMap, sync::Arc, time::Duration};

use admin::Config;
use axum::{Json, Router, routing::get};
use chassis::Shutdown;
use contracts::{
    Claims, Event, Payload, Recorded,
    events::{QuestionApplied, QuestionCreated, QuestionDeleted, QuestionUpdated},
};
use database::params;
use event_store::{Append, Expected, Log, LogOptions, ReadQuery};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, CommitFaults, TempDir, eventually};
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The events that tell of questions.
pub(crate) const TYPES: [&str; 3] = [
    QuestionCreated::TYPE,
    QuestionUpdated::TYPE,
    QuestionDeleted::TYPE,
];

/// An Ed25519 key in PKCS #8 around the seed of 32 sevens, and its public half.
const KEY_FRAME: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const KEY_PUBLIC: &str = "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";

/// What outlives a service's process.
pub(crate) struct Home {
    pub(crate) backend: Backend,
    pub(crate) log: Log,
    pub(crate) faults: Arc<CommitFaults>,
    _folder: TempDir,
}

/// The service, running.
pub(crate) struct App {
    base: String,
    client: reqwest::Client,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Home {
    pub(crate) async fn new(backend: Backend) -> Self {
        let folder = testkit::temp_dir();
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        Self {
            backend,
            log: Log::open(&log, LogOptions::default()).await.expect("a log"),
            faults: CommitFaults::new(),
            _folder: folder,
        }
    }

    pub(crate) async fn start(&self) -> App {
        self.start_with(|_| {}).await
    }

    /// Starts the service on the home's data; `change` is for other settings.
    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Config)) -> App {
        let options = database::Options {
            commit_hook: Some(self.faults.clone()),
            ..database::Options::default()
        };
        let mut config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: self.backend.url.clone(),
            jwks_url: keys().await,
            database_options: options,
            ..Config::default()
        };
        change(&mut config);
        let base = format!("http://{}", config.listen);
        let (client, shutdown) = (reqwest::Client::new(), Shutdown::new());
        let shared = Shared {
            log: self.log.clone(),
            bus: None,
        };
        let mut running = tokio::spawn(admin::run(config, shared, shutdown.clone()));
        let serving = eventually(PATIENCE, || async {
            let ready = client.get(format!("{base}/health/ready")).send().await?;
            Ok::<_, reqwest::Error>(ready.status().is_success())
        });
        tokio::select! {
            ended = &mut running => panic!("the service ended at its start: {ended:?}"),
            () = serving => {}
        }
        App {
            base,
            client,
            shutdown,
            running,
        }
    }

    /// A question service that confirms every edit, until the test ends or it is aborted.
    pub(crate) fn bank(&self) -> JoinHandle<()> {
        tokio::spawn(confirm(self.log.clone()))
    }

    /// The events of all questions so far, oldest first.
    pub(crate) async fn events(&self) -> Vec<Recorded> {
        let (mut all, mut position) = (Vec::new(), 0);
        loop {
            let query = ReadQuery::after(position).types(TYPES).limit(1_000);
            let page = self.log.read(&query).await.expect("events");
            let Some(last) = page.last() else { return all };
            position = last.position;
            all.extend(page);
        }
    }

    /// Questions in the service's own database.
    pub(crate) async fn stored(&self) -> i64 {
        let db = self.backend.open(database::Options::default()).await;
        db.migrate(admin::store::migrations())
            .await
            .expect("tables");
        let count = db
            .fetch_one("SELECT COUNT(*) FROM questions", params![])
            .await;
        let (count,): (i64,) = count.expect("a count");
        db.close().await;
        count
    }

    /// Waits until so many events of questions are in the log.
    pub(crate) async fn logged(&self, count: usize) {
        eventually(PATIENCE, || async { self.events().await.len() == count }).await;
    }
}

impl App {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.client.get(self.url(path)), Some("admin")).await
    }

    pub(crate) async fn get_as(&self, path: &str, role: Option<&str>) -> Reply {
        send(self.client.get(self.url(path)), role).await
    }

    pub(crate) async fn send_as(
        &self,
        method: &str,
        path: &str,
        role: Option<&str>,
        body: &Value,
    ) -> Reply {
        let method = method.parse().expect("a method");
        send(self.client.request(method, self.url(path)).json(body), role).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.client.post(self.url(path)).json(body), Some("admin")).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        send(self.client.put(self.url(path)).json(body), Some("admin")).await
    }

    pub(crate) async fn put_if_match(&self, path: &str, tag: &str, body: &Value) -> Reply {
        let request = self.client.put(self.url(path)).header("if-match", tag);
        send(request.json(body), Some("admin")).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        send(self.client.delete(self.url(path)), Some("admin")).await
    }

    pub(crate) async fn upload(&self, path: &str, kind: &str, file: Vec<u8>) -> Reply {
        let request = self.client.post(self.url(path));
        send(
            request.header("content-type", kind).body(file),
            Some("admin"),
        )
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.await.expect("no panic").expect("a clean end");
    }

    /// Ends the process without a word.
    pub(crate) async fn kill(self) {
        self.running.abort();
        // Over when its port and its database are free again.
        self.running.await.ok();
    }
}

impl Reply {
    /// Status, problem code and field.
    pub(crate) fn problem(&self) -> (u16, &str, &str) {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        (self.status, text("code"), text("field"))
    }

    /// The path of the question that the answer tells of.
    pub(crate) fn path(&self) -> String {
        let id = self.body["id"].as_str();
        let id = id.unwrap_or_else(|| panic!("no id in {self:?}"));
        format!("/api/admin/questions/{id}")
    }
}

/// A question's body; `number` makes it another one.
pub(crate) fn draft(number: usize) -> Value {
    json!({
        "text": format!("Which port does service {number} use?"),
        "category": "networking", "difficulty": "easy", "tags": ["ports", "http"],
        "choices": [
            { "id": "a", "text": "80" }, { "id": "b", "text": "443" },
            { "id": "c", "text": "22" }, { "id": "d", "text": "53" },
        ],
        "correctChoiceId": "b",
    })
}

async fn send(mut request: RequestBuilder, role: Option<&str>) -> Reply {
    if let Some(role) = role {
        request = request.bearer_auth(token(role));
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let header = |(name, value): (&_, &_)| {
        let (name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue) =
            (name, value);
        let value = value.to_str().unwrap_or_default().to_owned();
        (name.as_str().to_owned(), value)
    };
    let headers = response.headers().iter().map(header).collect();
    let text = response.text().await.expect("a body");
    Reply {
        status,
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
    }
}

fn token(role: &str) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let claims = Claims {
        iss: Claims::ISSUER.to_owned(),
        aud: Claims::AUDIENCE.to_owned(),
        sub: Uuid::from_u128(1),
        name: "Ada".to_owned(),
        roles: vec![role.to_owned()],
        iat: now,
        exp: now + 900,
        jti: Uuid::from_u128(2),
    };
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("test".to_owned());
    let key = [KEY_FRAME.as_slice(), &[7; 32]].concat();
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&key)).expect("a token")
}

/// Serves the public key, as the auth service does.
async fn keys() -> String {
    let keys = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "test", "x": KEY_PUBLIC
    }] });
    let router = Router::new().route("/", get(async move || Json(keys.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn confirm(log: Log) {
    let mut appended = log.appended();
    let mut position = 0;
    loop {
        let query = ReadQuery::after(position).types(TYPES).limit(1_000);
        for recorded in log.read(&query).await.expect("events") {
            position = recorded.position;
            log.append(vec![applied(&recorded.event)])
                .await
                .expect("an append");
        }
        // Sooner than the poll, and never the only way: the log may be written by another process.
        let _ = tokio::time::timeout(Duration::from_millis(20), appended.changed()).await;
    }
}

fn applied(event: &Event) -> Append {
    let question_id: Uuid = event.aggregate_id.parse().expect("an id");
    let payload = QuestionApplied {
        question_id,
        version: event.payload["version"].as_i64().expect("a version"),
    };
    let id = Uuid::new_v5(&event.id, b"applied");
    let event = Event {
        id,
        event_type: QuestionApplied::TYPE.to_owned(),
        stream: format!("question-bank-{question_id}"),
        aggregate_id: question_id.to_string(),
        version: event.version,
        schema_version: QuestionApplied::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: event.correlation_id,
        causation_id: Some(event.id),
        saga_id: None,
        step: None,
        service_id: "question".to_owned(),
        traceparent: None,
    };
    Append {
        event,
        expected: Expected::Any,
    }
}
