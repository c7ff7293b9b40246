//! The auth service on a free port, with the providers of the test.

use std::time::Duration;

use auth::{Config, oidc::Settings};
use chassis::Shutdown;
use event_store::{Log, LogOptions, ReadQuery};
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, TempDir, eventually};

/// A start takes some migrations, and a Python program takes its time to come up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The only provider's name.
pub(crate) const PROVIDER: &str = "own";

pub(crate) struct Site {
    pub(crate) base: String,
    pub(crate) log: Log,
    pub(crate) client: reqwest::Client,
    shutdown: Shutdown,
    backend: Backend,
    _folder: TempDir,
}

/// An answer: status, body (null without one), where it sends and how long it says to wait.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) location: String,
    pub(crate) retry_after: Option<String>,
}

impl Reply {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().expect("a text").to_owned())
        };
        let (location, retry_after) = (header("location"), header("retry-after"));
        let text = response.text().await.expect("a body");
        Self {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            location: location.unwrap_or_default(),
            retry_after,
        }
    }

    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found
            .unwrap_or_else(|| panic!("no text at {pointer} in {self:?}"))
            .to_owned()
    }

    /// Status and problem code.
    pub(crate) fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

/// Settings of a provider with that issuer.
pub(crate) fn settings(issuer: &str) -> Settings {
    Settings {
        issuer: issuer.to_owned(),
        client_id: "node-learn".to_owned(),
        client_secret: Some("secret".to_owned()),
        scopes: vec!["profile".to_owned(), "email".to_owned()],
        display_name: Some("Our own".to_owned()),
        trust_email: false,
    }
}

impl Site {
    pub(crate) async fn start(backend: Backend, provider: Settings) -> Self {
        Self::start_with(backend, provider, |_| {}).await
    }

    pub(crate) async fn start_with(
        backend: Backend,
        provider: Settings,
        change: impl FnOnce(&mut Config),
    ) -> Self {
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
        let port = testkit::free_port();
        let base = format!("http://127.0.0.1:{port}");
        let mut config = Config {
            listen: ([127, 0, 0, 1], port).into(),
            database: backend.url.clone(),
            signing_key: folder.path().join("signing.pem"),
            public_url: base.clone(),
            oidc: [(PROVIDER.to_owned(), provider)].into(),
            ..Config::default()
        };
        change(&mut config);
        let shutdown = Shutdown::new();
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let mut running = tokio::spawn(auth::run(config, shared, shutdown.clone()));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
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
            log,
            client,
            shutdown,
            backend,
            _folder: folder,
        }
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Reply {
        let request = self.client.get(format!("{}{path}", self.base));
        match token {
            Some(token) => read(request.bearer_auth(token)).await,
            None => read(request).await,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        let request = self.client.post(format!("{}{path}", self.base));
        read(request.json(&body)).await
    }

    pub(crate) async fn post_as(&self, path: &str, token: &str, body: Value) -> Reply {
        let request = self.client.post(format!("{}{path}", self.base));
        read(request.bearer_auth(token).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Reply {
        let request = self.client.delete(format!("{}{path}", self.base));
        read(request.bearer_auth(token)).await
    }

    /// The service's own database, beside the service.
    pub(crate) async fn database(&self) -> database::Database {
        self.backend.open(database::Options::default()).await
    }

    pub(crate) async fn guest(&self) -> Reply {
        self.post("/api/auth/guest", json!({})).await
    }

    pub(crate) async fn register(&self, email: &str) -> Reply {
        let body = json!({ "email": email, "password": "correct horse", "displayName": "Ada" });
        let reply = self.post("/api/auth/register", body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply
    }

    /// Types and payloads of a user's events, once there are `count` of them.
    pub(crate) async fn events(&self, user: &str, count: usize) -> Vec<(String, Value)> {
        let stream = format!("user-{user}");
        let events = eventually(PATIENCE, || async {
            let query = ReadQuery::after(0).stream(stream.clone());
            let events = self.log.read(&query).await.ok()?;
            (events.len() >= count).then_some(events)
        });
        let events = events.await.into_iter().map(|recorded| recorded.event);
        events
            .map(|event| (event.event_type, event.payload))
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> Reply {
    Reply::of(request.send().await.expect("an answer")).await
}
