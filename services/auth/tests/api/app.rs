//! The whole service on a free port, with a database and a log of its own.

use std::time::Duration;

use auth::Config;
use chassis::Shutdown;
use event_store::{Log, LogOptions};
use serde_json::Value;
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
    pub(crate) backend: Backend,
    pub(crate) log: Log,
    pub(crate) folder: TempDir,
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
        let log = Log::open(&log, LogOptions::default()).await.expect("a log");
        Self::launch(backend, folder, log, change).await
    }

    async fn launch(
        backend: Backend,
        folder: TempDir,
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
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        Reply {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        }
    }
}
