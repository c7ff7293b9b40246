//! The public API of the monolith: the same paths, bodies, statuses and codes as the services that
//! its capabilities move to.

mod accounts;
mod admin;
mod answers;
mod boards;
mod documents;
mod maintenance;
mod players;
mod questions;
mod users;

use auth::{keys::Keys, limits::Proxies};
use axum::{Router, extract::FromRef};
use chassis::{Shutdown, identity::Verifier};
use database::Database;

use crate::accounts::Accounts;

#[derive(Clone)]
struct App {
    db: Database,
    accounts: Accounts,
    verifier: Verifier,
    keys: Keys,
    proxies: Proxies,
}

impl FromRef<App> for Proxies {
    fn from_ref(app: &App) -> Self {
        app.proxies.clone()
    }
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}

/// All public paths. `keys` are those whose tokens are good, the ones that `accounts` signs with;
/// `proxies` may say on whose behalf they ask.
pub fn router(
    db: Database,
    accounts: Accounts,
    keys: Keys,
    proxies: Proxies,
    shutdown: Shutdown,
) -> Router {
    let found = keys.clone();
    let app = App {
        db,
        accounts,
        verifier: Verifier::local(move |id| found.public(id)),
        keys,
        proxies,
    };
    let boards = boards::router(&app.db, &app.verifier, shutdown);
    Router::new()
        .merge(accounts::router())
        .merge(users::router())
        .merge(questions::router())
        .merge(answers::router())
        .merge(players::router())
        .merge(admin::router())
        .merge(maintenance::router())
        .with_state(app)
        .merge(boards)
        .merge(documents::router())
}
