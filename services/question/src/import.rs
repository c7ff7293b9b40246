//! Takes over the monolith's questions, straight from its database.
//!
//! Invariants: it can be repeated at any time, also while the service runs; it never overwrites a
//! row that an event wrote; an import that was interrupted goes on where it stopped,
//! because its place is committed with the rows.

use std::{path::Path, sync::Arc, time::Duration};

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
use uuid::Uuid;

use crate::store::imports::{self, Taken};

/// Rows of one transaction: few enough that no event is kept waiting behind it.
const BATCH: i64 = 200;

/// Connections to the monolith's database, which has players of its own.
const CONNECTIONS: u32 = 2;

/// The pause after a failed import at the start; it doubles up to [`PAUSE_MAX`]. The monolith
/// usually starts at the same moment as this service.
const PAUSE: Duration = Duration::from_millis(200);

/// A monolith that is down for long is not asked more often than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Imports from one monolith. Clones share it; one import runs at a time.
#[derive(Clone)]
pub struct Importer {
    db: Database,
    /// Where the monolith's database is, if there is one.
    url: Option<String>,
    running: Arc<Mutex<()>>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows that were not here.
    pub inserted: u64,
    /// Rows that were here and older.
    pub updated: u64,
    /// Rows that stayed as they are.
    pub skipped: u64,
}

/// Why an import stopped. What it took over until then stays.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Nobody said where the monolith's database is.
    #[error("there is no monolith to import from (setting `legacy_database`)")]
    NotConfigured,
    /// The monolith's database cannot be read.
    #[error("the monolith's database: {0}")]
    Legacy(#[source] database::Error),
    /// This service's own database failed.
    #[error(transparent)]
    Own(#[from] database::Error),
}

impl Importer {
    /// Imports into `db` from the database at `url`.
    pub fn new(db: Database, url: Option<String>) -> Self {
        Self {
            db,
            url,
            running: Arc::default(),
        }
    }

    /// Imports everything once.
    ///
    /// # Errors
    /// [`ImportError`], by whose database it was.
    pub async fn run(&self) -> Result<Counts, ImportError> {
        let url = self.url.as_deref().ok_or(ImportError::NotConfigured)?;
        let _alone = self.running.lock().await;
        let legacy = open(url).await.map_err(ImportError::Legacy)?;
        let counts = from(&self.db, &legacy).await;
        legacy.close().await;
        counts
    }

    /// Imports once, as soon as the monolith's database is there, then waits for the shutdown.
    pub async fn run_at_start(self, shutdown: Shutdown) {
        let mut pause = PAUSE;
        while self.url.is_some() {
            match self.run().await {
                Ok(Counts {
                    inserted,
                    updated,
                    skipped,
                }) => {
                    tracing::info!(inserted, updated, skipped, "imported from the monolith");
                    break;
                }
                Err(error) => tracing::warn!(%error, "cannot import from the monolith yet"),
            }
            if shutdown.sleep(pause).await == Slept::ShutDown {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        shutdown.cancelled().await;
    }

    /// `POST /ops/import`.
    pub fn verbs(self) -> Router {
        Router::new()
            .route("/import", post(import))
            .with_state(self)
    }
}

async fn import(State(importer): State<Importer>) -> Result<Json<Counts>, ImportError> {
    Ok(Json(importer.run().await?))
}

impl IntoResponse for ImportError {
    fn into_response(self) -> Response {
        match self {
            Self::NotConfigured => Problem::conflict("import_not_configured", self.to_string()),
            Self::Legacy(cause) => Problem::dependency("monolith's database", &cause),
            Self::Own(cause) => cause.into(),
        }
        .into_response()
    }
}

/// Opens the monolith's database, and does not make one where there is none.
async fn open(url: &str) -> database::Result<Database> {
    if let Some(path) = url.strip_prefix("sqlite:")
        && !Path::new(path.strip_prefix("//").unwrap_or(path)).exists()
    {
        return Err(database::Error::Configuration(format!(
            "there is no file {path}"
        )));
    }
    Database::connect(
        url,
        Options {
            max_connections: CONNECTIONS,
            ..Options::default()
        },
    )
    .await
}

async fn from(db: &Database, legacy: &Database) -> Result<Counts, ImportError> {
    let mut counts = Counts::default();
    let mut after = imports::progress(db).await?.unwrap_or(Uuid::nil());
    loop {
        let rows = imports::read_legacy(legacy, after, BATCH)
            .await
            .map_err(ImportError::Legacy)?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        let mut tx = db.begin().await?;
        for row in &rows {
            match imports::take_over(&mut tx, row).await? {
                Taken::Inserted => counts.inserted += 1,
                Taken::Updated => counts.updated += 1,
                Taken::Skipped => counts.skipped += 1,
            }
        }
        imports::note_progress(&mut tx, after).await?;
        tx.commit().await?;
    }
    imports::finish(db).await?;
    Ok(counts)
}
