//! The whole service on a free port, and what tests of replicas share with it.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::Shutdown;
use contracts::{Claims, Event, Payload};
use database::Timestamp;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use event_store::{Append, Expected, Log, LogOptions, ReadQuery};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use maintenance::{
    Config,
    config::{JobSettings, Jobs},
};
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, TempDir, eventually};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One minute.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// An instant.
pub(crate) fn at(text: &str) -> Timestamp {
    OffsetDateTime::parse(text, &Rfc3339)
        .expect("a time")
        .into()
}

/// Settings of one job.
pub(crate) fn job(name: &str, settings: Value) -> (String, JobSettings) {
    let settings = serde_json::from_value(settings).expect("settings");
    (name.to_owned(), settings)
}

/// The jobs with these settings; all others are disabled.
pub(crate) fn jobs(settings: &[(String, JobSettings)]) -> Jobs {
    configured(settings)
        .resolve()
        .unwrap_or_else(|faults| panic!("{faults}"))
}

fn configured(settings: &[(String, JobSettings)]) -> Config {
    let mut config = Config::default();
    for definition in maintenance::domain::JOBS {
        let disabled = job(definition.name, json!({ "enabled": false }));
        config.jobs.extend([disabled]);
    }
    config.jobs.extend(settings.iter().cloned());
    config
}

pub(crate) fn event(kind: &str, payload: &impl serde::Serialize) -> Event {
    let id = Uuid::now_v7();
    Event {
        id,
        event_type: kind.to_owned(),
        stream: format!("test-{id}"),
        aggregate_id: String::new(),
        version: 1,
        schema_version: 1,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: id,
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: "test".to_owned(),
        traceparent: None,
    }
}

/// A log in a folder of its own.
pub(crate) async fn log_in(folder: &TempDir) -> Log {
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    Log::open(&url, LogOptions::default()).await.expect("a log")
}

pub(crate) async fn append(log: &Log, events: Vec<Event>) {
    let batch = events
        .into_iter()
        .map(|event| Append {
            event,
            expected: Expected::Any,
        })
        .collect();
    log.append(batch).await.expect("an append");
}

/// An issuer of tokens: a key, and where verifiers find it.
pub(crate) struct Issuer {
    key: EncodingKey,
    url: String,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let secret: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).expect("a byte"));
        let key = ed25519_dalek::SigningKey::from_bytes(&secret);
        let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let keys = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "test", "alg": "EdDSA", "x": public },
        ] });
        let router = axum::Router::new().route(
            "/keys",
            axum::routing::get(async move || axum::Json(keys.clone())),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let der = key.to_pkcs8_der().expect("a key");
        Self {
            key: EncodingKey::from_ed_der(der.as_bytes()),
            url,
        }
    }

    pub(crate) fn token(&self, role: &str) -> String {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = json!({
            "iss": Claims::ISSUER, "aud": Claims::AUDIENCE, "sub": Uuid::nil(),
            "name": "Ada", "roles": [role], "iat": now, "exp": now + 600, "jti": Uuid::nil(),
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("test".to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).expect("a token")
    }
}

/// The whole service on a free port.
pub(crate) struct App {
    base: String,
    client: reqwest::Client,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
    pub(crate) issuer: Issuer,
    pub(crate) log: Log,
    pub(crate) folder: Arc<TempDir>,
}

/// An answer: status, headers and body (null without one).
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// Status, problem code and field.
    pub(crate) fn problem(&self) -> (u16, &str, &str) {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        (self.status, text("code"), text("field"))
    }
}

impl App {
    pub(crate) async fn start(
        backend: &Backend,
        settings: &[(String, JobSettings)],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = testkit::temp_dir();
        let log = log_in(&folder).await;
        Self::beside(backend, Arc::new(folder), log, settings, change).await
    }

    /// Over a log that others share.
    pub(crate) async fn beside(
        backend: &Backend,
        folder: Arc<TempDir>,
        log: Log,
        settings: &[(String, JobSettings)],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let issuer = Issuer::start().await;
        let mut config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: backend.url.clone(),
            jwks_url: issuer.url.clone(),
            archive_dir: folder.path().join("archive"),
            ..configured(settings)
        };
        change(&mut config);
        let base = format!("http://{}", config.listen);
        let (client, shutdown) = (reqwest::Client::new(), Shutdown::new());
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let mut running = tokio::spawn(maintenance::run(config, shared, shutdown.clone()));
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
            issuer,
            log,
            folder,
        }
    }

    pub(crate) async fn get(&self, path: &str, role: Option<&str>) -> Reply {
        self.send(self.client.get(self.url(path)), role).await
    }

    /// The administrator's page.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let reply = self.get(path, Some("admin")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    pub(crate) async fn post(&self, path: &str, role: Option<&str>, body: &str) -> Reply {
        self.post_with(path, role, body, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        role: Option<&str>,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = self.client.post(self.url(path));
        if !body.is_empty() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, role).await
    }

    /// A page that is no JSON.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self
            .client
            .get(self.url(path))
            .send()
            .await
            .expect("an answer");
        response.text().await.expect("a text")
    }

    /// The events of this type in the log.
    pub(crate) async fn logged<P: Payload>(&self) -> Vec<P> {
        let query = ReadQuery::after(0).types([P::TYPE]).limit(1_000);
        let events = self.log.read(&query).await.expect("events");
        events
            .iter()
            .map(|event| event.event.payload().expect("a payload"))
            .collect()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.await.expect("no panic").expect("a clean end");
    }

    /// Ends at once, without a word.
    pub(crate) async fn kill(self) {
        self.running.abort();
        self.running.await.ok();
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, mut request: reqwest::RequestBuilder, role: Option<&str>) -> Reply {
        if let Some(role) = role {
            request = request.bearer_auth(self.issuer.token(role));
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply {
            status,
            headers,
            body,
        }
    }
}
