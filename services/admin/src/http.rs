//! The public paths of this service, for curators alone.

mod files;
mod questions;

use axum::extract::FromRef;
use chassis::{Problem, identity::Verifier};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{curation::Curation, error::Error};

/// Who may curate.
const ADMIN: &str = "admin";

/// What the handlers need.
#[derive(Clone)]
pub struct App {
    /// Writes, and the database to read from.
    pub curation: Curation,
    /// Knows good tokens.
    pub verifier: Verifier,
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}

/// The public API.
pub fn router(app: App) -> OpenApiRouter {
    routes().with_state(app)
}

/// What this service documents; legacy answers the same paths.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(questions::routes())
        .merge(files::routes())
}

/// What is no id names no question either.
fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Error::NotFound.into())
}
