//! The curators' side of the question bank.

mod files;
mod questions;
mod writing;

use auth::domain::role;
use axum::{Router, extract::FromRequestParts, http::request::Parts};
use chassis::{Problem, identity::Caller};

use super::App;

/// Somebody who may curate. Anybody else is refused before more of a request is read.
struct Curator;

impl FromRequestParts<App> for Curator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.require_role(role::ADMIN)?;
        Ok(Self)
    }
}

pub(super) fn router() -> Router<App> {
    Router::new()
        .merge(questions::router())
        .merge(files::router())
}
