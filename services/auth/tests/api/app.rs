//! The whole service on a free port, with a database and a log of its own.

use std::{sync::Arc, time::Duration};

use auth::{Config, config::Administrator};
use chassis::Shutdown;
use database::Database;
use event_store::{Log, LogOptions, ReadQuery};
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, TempDir, eventually};
use tokio::task::JoinHandle;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct App {
    base: String,
    client: reqwest::Client,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) log: Log,
    pub(crate) folder: Arc<TempDir>,
}

/// An answer: status and body (null without one).
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    /// A text of the body, by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found
            .unwrap_or_else(|| panic!("no text at {pointer} in {self:?}"))
            .to_owned()
    }

    /// Status, problem code and field.
    pub(crate) fn problem(&self) -> (u16, &str, &str) {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        (self.status, text("code"), text("field"))
    }
}

impl App {
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
        Self::launch(Arc::new(backend), Arc::new(folder), log, change).await
    }

    async fn launch(
        backend: Arc<Backend>,
        folder: Arc<TempDir>,
        log: Log,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            database: backend.url.clone(),
            signing_key: folder.path().join("signing.pem"),
            ..Config::default()
        };
        change(&mut config);
        let base = format!("http://{}", config.listen);
        let shutdown = Shutdown::new();
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let mut running = tokio::spawn(auth::run(config, shared, shutdown.clone()));
        let client = reqwest::Client::new();
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
            backend,
            log,
            folder,
        }
    }

    /// Stops the service and starts it again on its data.
    pub(crate) async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        self.shutdown.trigger();
        self.running.await.expect("no panic").expect("a clean end");
        Self::launch(self.backend, self.folder, self.log, change).await
    }

    /// Another replica over the same database, log and keys.
    pub(crate) async fn beside(&self) -> Self {
        let (backend, folder) = (Arc::clone(&self.backend), Arc::clone(&self.folder));
        Self::launch(backend, folder, self.log.clone(), |_| {}).await
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Reply {
        self.send(self.client.get(self.url(path)), token).await
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        self.send(self.client.post(self.url(path)).json(&body), token)
            .await
    }

    pub(crate) async fn patch(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        self.send(self.client.patch(self.url(path)).json(&body), token)
            .await
    }

    pub(crate) async fn put(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        self.send(self.client.put(self.url(path)).json(&body), token)
            .await
    }

    /// Deletes, with a body where one is given.
    pub(crate) async fn delete(
        &self,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Reply {
        let request = self.client.delete(self.url(path));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(request, token).await
    }

    /// Posts as somebody at `address`, for whom the gateway at our side asks; with the seconds
    /// that the answer says to wait.
    pub(crate) async fn post_from(
        &self,
        address: &str,
        path: &str,
        body: Value,
    ) -> (Reply, Option<u64>) {
        let request = self.client.post(self.url(path)).json(&body);
        let request = request.header("x-forwarded-for", address);
        let response = request.send().await.expect("an answer");
        let wait = response.headers().get("retry-after").map(|value| {
            let text = value.to_str().expect("a text");
            text.parse().expect("seconds")
        });
        (read(response).await, wait)
    }

    /// A registered user's session.
    pub(crate) async fn registered(&self, name: &str) -> Reply {
        let body = json!({
            "email": format!("{name}@example.org"), "password": "correct horse", "displayName": name,
        });
        let reply = self.post("/api/auth/register", None, body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply
    }

    /// A guest's session.
    pub(crate) async fn guest(&self) -> Reply {
        self.post("/api/auth/guest", None, json!({})).await
    }

    pub(crate) async fn login(&self, name: &str, password: &str) -> Reply {
        let email = format!("{name}@example.org");
        let body = json!({ "email": email, "password": password });
        self.post("/api/auth/login", None, body).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Reply {
        self.post("/api/auth/refresh", None, json!({ "refreshToken": token }))
            .await
    }

    /// The types of a user's events in the log, once there are `count` of them.
    pub(crate) async fn events_of(&self, user: &str, count: usize) -> Vec<String> {
        let types = eventually(PATIENCE, || async {
            let stream = ReadQuery::after(0).stream(format!("user-{user}"));
            let events = self.log.read(&stream).await.ok()?;
            (events.len() >= count).then_some(events)
        });
        let types = types.await;
        types
            .into_iter()
            .map(|event| event.event.event_type)
            .collect()
    }

    /// A service with an administrator; with the administrator's token.
    pub(crate) async fn administered(backend: Backend) -> (Self, String) {
        let app = Self::start_with(backend, |config| {
            config.administrator = Some(Administrator {
                email: "root@example.org".to_owned(),
                password: "correct horse".to_owned(),
                display_name: "Root".to_owned(),
            });
        })
        .await;
        let root = app.login("root", "correct horse").await;
        let token = root.text("/accessToken");
        (app, token)
    }

    /// The service's own database, beside the service.
    pub(crate) async fn database(&self) -> Database {
        self.backend.open(database::Options::default()).await
    }

    /// Sends a body as it is.
    pub(crate) async fn post_raw(&self, path: &str, kind: &str, body: &'static str) -> Reply {
        let request = self
            .client
            .post(self.url(path))
            .header("content-type", kind)
            .body(body);
        self.send(request, None).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, mut request: reqwest::RequestBuilder, token: Option<&str>) -> Reply {
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        read(request.send().await.expect("an answer")).await
    }
}

async fn read(response: reqwest::Response) -> Reply {
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    Reply {
        status,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
    }
}
