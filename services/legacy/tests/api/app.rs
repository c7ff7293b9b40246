//! The monolith, and the services its capabilities move to, each on a free port.

use std::{future::Future, net::SocketAddr, path::Path, time::Duration};

use admin::domain::Question;
use auth::config::Administrator;
use chassis::Shutdown;
use event_store::{Log, LogOptions};
use legacy::Config;
use serde_json::{Value, json};
use service::Shared;
use testkit::{Backend, TempDir, eventually};
use tokio::task::JoinHandle;

/// A start takes some migrations; a machine that is busy with other tests takes longer for them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The administrator of both sides.
pub(crate) const ROOT: (&str, &str) = ("root@example.org", "correct horse");

/// A process's part on its port; it ends with its value.
pub(crate) struct Server {
    base: String,
    client: reqwest::Client,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

/// The monolith with a folder for what it shares with others.
pub(crate) struct Legacy {
    pub(crate) http: Server,
    pub(crate) backend: Backend,
    pub(crate) folder: TempDir,
}

/// An answer: status and body (null without one).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Legacy {
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::start_with(backend, |_| {}).await
    }

    pub(crate) async fn start_with(backend: Backend, change: impl FnOnce(&mut Config)) -> Self {
        Self::launch(backend, testkit::temp_dir(), change).await
    }

    async fn launch(backend: Backend, folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: free_address(),
            database: backend.url.clone(),
            signing_key: folder.path().join("signing.pem"),
            administrator: Some(Administrator {
                email: ROOT.0.to_owned(),
                password: ROOT.1.to_owned(),
                display_name: "Root".to_owned(),
            }),
            ..Config::default()
        };
        change(&mut config);
        let http = Server::start(config.listen, |end| legacy::run(config, end)).await;
        Self {
            http,
            backend,
            folder,
        }
    }

    /// Stops it and starts it again on its data.
    pub(crate) async fn restart(self) -> Self {
        self.http.stop().await;
        Self::launch(self.backend, self.folder, |_| {}).await
    }

    /// The auth service beside it, with the same key, importing from it.
    pub(crate) async fn auth_beside(&self) -> (Server, Backend) {
        let backend = another(&self.backend).await;
        let config = auth::Config {
            listen: free_address(),
            database: backend.url.clone(),
            signing_key: self.folder.path().join("signing.pem"),
            administrator: Some(Administrator {
                email: ROOT.0.to_owned(),
                password: ROOT.1.to_owned(),
                display_name: "Root".to_owned(),
            }),
            legacy_database: Some(self.backend.url.clone()),
            ..auth::Config::default()
        };
        let shared = Shared {
            log: log_in(self.folder.path()).await,
            bus: None,
        };
        let server = Server::start(config.listen, |end| auth::run(config, shared, end)).await;
        (server, backend)
    }

    /// The question service beside it, importing from it.
    pub(crate) async fn question_beside(&self) -> (Server, Backend, Log) {
        let backend = another(&self.backend).await;
        let config = question::Config {
            listen: free_address(),
            database: backend.url.clone(),
            legacy_database: Some(self.backend.url.clone()),
            ..question::Config::default()
        };
        let log = log_in(self.folder.path()).await;
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let server = Server::start(config.listen, |end| question::run(config, shared, end)).await;
        (server, backend, log)
    }

    /// The admin service beside it, following it, over the same log as `question_beside`.
    pub(crate) async fn admin_beside(&self, log: &Log) -> (Server, Backend) {
        let backend = another(&self.backend).await;
        let config = admin::Config {
            listen: free_address(),
            database: backend.url.clone(),
            jwks_url: self.http.url("/.well-known/jwks.json"),
            legacy_database: Some(self.backend.url.clone()),
            legacy_follow: Some("200ms".to_owned().try_into().expect("an interval")),
            ..admin::Config::default()
        };
        let shared = Shared {
            log: log.clone(),
            bus: None,
        };
        let server = Server::start(config.listen, |end| admin::run(config, shared, end)).await;
        (server, backend)
    }

    /// A registered player's token.
    pub(crate) async fn player(&self, name: &str) -> String {
        let reply = self
            .http
            .post("/api/auth/register", None, registration(name))
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.text("/accessToken")
    }

    /// The administrator's token.
    pub(crate) async fn root(&self) -> String {
        let login = json!({ "email": ROOT.0, "password": ROOT.1 });
        self.http
            .post("/api/auth/login", None, login)
            .await
            .text("/accessToken")
    }
}

impl Server {
    async fn start<F>(listen: SocketAddr, run: impl FnOnce(Shutdown) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let base = format!("http://{listen}");
        let client = reqwest::Client::new();
        let shutdown = Shutdown::new();
        let mut running = tokio::spawn(run(shutdown.clone()));
        let serving = eventually(PATIENCE, || async {
            let ready = client.get(format!("{base}/health/ready")).send().await?;
            Ok::<_, reqwest::Error>(ready.status().is_success())
        });
        tokio::select! {
            ended = &mut running => panic!("it ended at its start: {ended:?}"),
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

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Reply {
        send(self.client.get(self.url(path)), token).await
    }

    /// A read with its tag, for whoever has the answers with the tags `known`.
    pub(crate) async fn revalidate(&self, path: &str, known: &str) -> (u16, Option<String>) {
        let request = self
            .client
            .get(self.url(path))
            .header("if-none-match", known);
        let response = request.send().await.expect("an answer");
        let tag = response.headers().get("etag");
        let tag = tag.map(|tag| tag.to_str().expect("a text").to_owned());
        (response.status().as_u16(), tag)
    }

    /// An answer that does not end by itself.
    pub(crate) async fn open(&self, path: &str, token: &str) -> reqwest::Response {
        let request = self.client.get(self.url(path)).bearer_auth(token);
        request.send().await.expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        send(self.client.post(self.url(path)).json(&body), token).await
    }

    pub(crate) async fn patch(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        send(self.client.patch(self.url(path)).json(&body), token).await
    }

    pub(crate) async fn put(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        send(self.client.put(self.url(path)).json(&body), token).await
    }

    /// Sends a file.
    pub(crate) async fn upload(&self, path: &str, token: &str, kind: &str, file: &str) -> Reply {
        let request = self
            .client
            .post(self.url(path))
            .header("content-type", kind);
        send(request.body(file.to_owned()), Some(token)).await
    }

    /// Fetches a file.
    pub(crate) async fn download(&self, path: &str, token: &str) -> String {
        let request = self.client.get(self.url(path)).bearer_auth(token);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        response.text().await.expect("a file")
    }

    pub(crate) async fn delete(&self, path: &str, token: Option<&str>) -> Reply {
        send(self.client.delete(self.url(path)), token).await
    }

    /// Deletes with a body.
    pub(crate) async fn delete_with(&self, path: &str, token: &str, body: Value) -> Reply {
        let request = self.client.delete(self.url(path)).json(&body);
        send(request, Some(token)).await
    }

    /// Sends an answer, with an Idempotency-Key where one is given.
    pub(crate) async fn answer(&self, token: &str, key: Option<&str>, body: Value) -> Reply {
        let mut request = self.client.post(self.url("/api/answers")).json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        send(request, Some(token)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
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

pub(crate) fn registration(name: &str) -> Value {
    let email = format!("{name}@example.org");
    json!({ "email": email, "password": "correct horse", "displayName": name })
}

/// The body that answers `question` rightly, or wrongly.
pub(crate) fn choice(question: &Question, quiz_mode: &str, is_right: bool) -> Value {
    let choice = question
        .choices
        .iter()
        .find(|choice| (choice.id == question.correct_choice_id) == is_right)
        .expect("a question has right and wrong choices");
    json!({ "questionId": question.id, "choiceId": choice.id, "quizMode": quiz_mode })
}

/// The question bank of every new installation.
pub(crate) fn bank() -> Vec<Question> {
    legacy::seed::seed().expect("the bank is valid")
}

/// An empty database on the same server.
pub(crate) async fn another(backend: &Backend) -> Backend {
    match backend.name {
        "postgres" => Backend::postgres().await,
        _ => Backend::sqlite(),
    }
}

async fn log_in(folder: &Path) -> Log {
    let url = format!("sqlite:{}", folder.join("log.db").display());
    Log::open(
        &url,
        LogOptions {
            personal: Some(event_store::MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys")),
            ..LogOptions::default()
        },
    )
    .await
    .expect("a log")
}

fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], testkit::free_port()).into()
}

async fn send(mut request: reqwest::RequestBuilder, token: Option<&str>) -> Reply {
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    Reply {
        status,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
    }
}
