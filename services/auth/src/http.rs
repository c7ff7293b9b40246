//! The public paths of this service: what comes in, and what it is answered with. Each room below
//! owns its paths and says what they answer.

mod accounts;
mod keys;
mod recovery;
mod users;

use std::sync::Arc;

use axum::extract::FromRef;
use chassis::identity::Verifier;
use jsonwebtoken::jwk::JwkSet;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{accounts::Accounts, keys::SigningKey};

/// What the handlers need.
#[derive(Clone)]
struct App {
    accounts: Accounts,
    verifier: Verifier,
    jwks: Arc<JwkSet>,
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}

/// The public API.
pub fn router(accounts: Accounts, key: &SigningKey) -> OpenApiRouter {
    let verifier = Verifier::fixed(key.jwks());
    let app = App {
        accounts,
        verifier,
        jwks: Arc::new(key.jwks()),
    };
    routes().with_state(app)
}

/// What this service documents; legacy answers the same paths.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(accounts::routes())
        .merge(recovery::routes())
        .merge(users::routes())
        .merge(keys::routes())
}
