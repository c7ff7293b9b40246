//! The public paths of this service, for curators alone.

mod files;
mod questions;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use chassis::{
    Problem,
    identity::{Caller, Verifier},
};
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

/// Somebody who may curate. Anybody else is refused before more of a request is read.
struct Curator;

impl FromRequestParts<App> for Curator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.require_role(ADMIN)?;
        Ok(Self)
    }
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
