//! Taking over what a monolith's database holds, at the start and whenever an operator asks.
//!
//! Invariants: one import of a service runs at a time; it can be repeated at any moment, also while
//! the service serves. That a row is never overwritten by an older one is each [`Import`]'s part.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use chassis::{Problem, Shutdown, http::Json, shutdown::Slept};
use database::{Database, Options};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::Mutex;

/// Rows of one transaction: few enough that nobody is kept waiting behind it.
pub const BATCH: i64 = 200;

/// Connections to the monolith's database, which has users of its own.
const CONNECTIONS: u32 = 2;

/// The pause after a failed import at the start; it doubles up to [`PAUSE_MAX`]. The monolith
/// usually starts at the same moment as the service.
const PAUSE: Duration = Duration::from_millis(200);

/// A monolith that is down for long is not asked more often than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What one service takes over.
#[async_trait]
pub trait Import: Send + Sync + 'static {
    /// What it did, as operators see it.
    type Report: Serialize + Send;

    /// Takes over everything that is news. What was taken over before an error stays.
    ///
    /// # Errors
    /// As either database says.
    async fn run(&self, own: &Database, legacy: &Database) -> database::Result<Self::Report>;
}

/// What an import did with one kind of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Rows that the monolith has.
    pub read: u64,
    /// Rows among them that were news.
    pub taken: u64,
}

impl Count {
    /// Counts one row more.
    pub fn add(&mut self, was_news: bool) {
        self.read += 1;
        self.taken += u64::from(was_news);
    }
}

/// Why an import stopped.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Nobody said where the monolith's database is.
    #[error("there is no monolith to import from (setting `legacy_database`)")]
    NotConfigured,
    /// The monolith's database cannot be opened.
    #[error("the monolith's database: {0}")]
    Unreachable(#[source] database::Error),
    /// One of the two databases failed on the way.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Imports into one service. Clones share it.
pub struct Importer<I> {
    inner: Arc<Inner<I>>,
}

struct Inner<I> {
    import: I,
    own: Database,
    url: Option<String>,
    running: Mutex<()>,
}

impl<I> Clone for Importer<I> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<I: Import> Importer<I> {
    /// Imports into `own` from the database at `url`, where there is one.
    pub fn new(import: I, own: Database, url: Option<String>) -> Self {
        let running = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                import,
                own,
                url,
                running,
            }),
        }
    }

    /// Imports everything once.
    ///
    /// # Errors
    /// [`ImportError`]; what was taken over until then stays.
    pub async fn run(&self) -> Result<I::Report, ImportError> {
        let url = self
            .inner
            .url
            .as_deref()
            .ok_or(ImportError::NotConfigured)?;
        let _alone = self.inner.running.lock().await;
        let legacy = open(url).await.map_err(ImportError::Unreachable)?;
        let report = self.inner.import.run(&self.inner.own, &legacy).await;
        legacy.close().await;
        Ok(report?)
    }

    /// Imports once, as soon as the monolith's database is there, then waits for the shutdown.
    ///
    /// # Errors
    /// Never; the type is that of a supervised task.
    pub async fn run_at_start(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut pause = PAUSE;
        while self.inner.url.is_some() {
            match self.run().await {
                Ok(report) => {
                    let report = serde_json::to_string(&report).unwrap_or_default();
                    tracing::info!(report, "imported from the monolith");
                    break;
                }
                Err(error) => tracing::warn!(%error, "cannot import from the monolith yet"),
            }
            if shutdown.sleep(pause).await == Slept::ShutDown {
                return Ok(());
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        shutdown.cancelled().await;
        Ok(())
    }

    /// `POST /ops/import`.
    pub fn verbs(&self) -> Router {
        Router::new()
            .route("/import", post(import::<I>))
            .with_state(self.clone())
    }
}

async fn import<I: Import>(
    State(importer): State<Importer<I>>,
) -> Result<Json<I::Report>, ImportError> {
    Ok(Json(importer.run().await?))
}

impl IntoResponse for ImportError {
    fn into_response(self) -> Response {
        match self {
            Self::NotConfigured => Problem::conflict("import_not_configured", self.to_string()),
            Self::Unreachable(cause) => Problem::dependency("monolith's database", &cause),
            Self::Database(cause) => cause.into(),
        }
        .into_response()
    }
}

/// Opens the monolith's database, and does not make one where there is none.
///
/// # Errors
/// As the database says; a missing file is a fault of the configuration.
pub async fn open(url: &str) -> database::Result<Database> {
    if let Some(path) = url.strip_prefix("sqlite:")
        && !Path::new(path.strip_prefix("//").unwrap_or(path)).exists()
    {
        let fault = format!("there is no file {path} (setting `legacy_database`)");
        return Err(database::Error::Configuration(fault));
    }
    let options = Options {
        max_connections: CONNECTIONS,
        ..Options::default()
    };
    Database::connect(url, options).await
}
