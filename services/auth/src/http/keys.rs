//! The public keys, for whoever verifies access tokens.

use axum::{extract::State, http::header, response::IntoResponse};
use chassis::http::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::App;

/// Verifiers may keep the keys this long; a token with an unknown key makes them ask at once.
const JWKS_CACHE: &str = "public, max-age=300";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(jwks))
}

/// The keys that access tokens are signed with (RFC 7517, RFC 8037).
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "keys_list", tag = "keys",
    responses((status = 200, body = serde_json::Value, description = "A JSON Web Key Set.")))]
async fn jwks(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CACHE_CONTROL, JWKS_CACHE)],
        Json(app.jwks.as_ref().clone()),
    )
}
