//! The public paths of this service: what comes in, and what it is answered with. Each room below
//! owns its paths and says what they answer.

mod accounts;
mod keys;
mod oidc;
mod recovery;
mod users;

use axum::extract::FromRef;
use chassis::identity::Verifier;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use accounts::Farewell;
pub use keys::verbs;
pub use users::RawUserFilter;

use self::oidc::Cookie;
use crate::{accounts::Accounts, keys::Keys, limits::Proxies, oidc::Oidc};

/// What the handlers need.
#[derive(Clone)]
struct App {
    accounts: Accounts,
    verifier: Verifier,
    keys: Keys,
    oidc: Oidc,
    cookie: Cookie,
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

/// The public API. `proxies` may say on whose behalf they ask.
pub fn router(accounts: Accounts, keys: Keys, oidc: Oidc, proxies: Proxies) -> OpenApiRouter {
    let found = keys.clone();
    let app = App {
        accounts,
        verifier: Verifier::local(move |id| found.public(id)),
        keys,
        cookie: Cookie::new(oidc.is_https()),
        oidc,
        proxies,
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
        .merge(oidc::routes())
}
