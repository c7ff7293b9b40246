//! The public API of the monolith: the same paths, bodies, statuses and codes as the services that
//! its capabilities move to.

mod accounts;
mod admin;
mod answers;
mod players;
mod questions;

use axum::{Router, extract::FromRef};
use chassis::identity::Verifier;
use database::Database;
use jsonwebtoken::jwk::JwkSet;

use crate::accounts::Accounts;

#[derive(Clone)]
struct App {
    db: Database,
    accounts: Accounts,
    verifier: Verifier,
    jwks: JwkSet,
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}

/// All public paths. `jwks` are the keys whose tokens are good, the one that `accounts` signs with
/// among them.
pub fn router(db: Database, accounts: Accounts, jwks: JwkSet) -> Router {
    let app = App {
        db,
        accounts,
        verifier: Verifier::fixed(jwks.clone()),
        jwks,
    };
    Router::new()
        .merge(accounts::router())
        .merge(questions::router())
        .merge(answers::router())
        .merge(players::router())
        .merge(admin::router())
        .with_state(app)
}
