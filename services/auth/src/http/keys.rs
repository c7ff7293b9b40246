//! The public keys, for whoever verifies access tokens; and what operators do with the keys.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    http::header,
    response::IntoResponse,
    routing::{get, post},
};
use chassis::{
    Problem,
    http::{Json, Query},
    ops::Actor,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::App;
use crate::keys::{Entry, JWKS_MAX_AGE, Keys};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(jwks))
}

/// What operators do with the keys, to be put under `/ops`; a rotation's key signs after `lead`.
pub fn verbs(keys: Keys, lead: Duration) -> Router {
    Router::new()
        .route("/keys", get(list))
        .route("/keys/rotate", post(rotate))
        .with_state(Operated { keys, lead })
}

#[derive(Clone)]
struct Operated {
    keys: Keys,
    lead: Duration,
}

#[derive(Serialize)]
struct Listed {
    items: Vec<Shown>,
}

/// A key as operators see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    kid: String,
    state: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    signs_from: OffsetDateTime,
    /// Until when a retired key is published.
    #[serde(with = "time::serde::rfc3339::option")]
    kept_until: Option<OffsetDateTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// Drops keys at once instead of letting them retire.
    #[serde(default)]
    emergency: bool,
    /// The key to drop; absent: all of them.
    kid: Option<String>,
}

/// The keys that access tokens are signed with (RFC 7517, RFC 8037): the one that signs, the next
/// one, and those whose last tokens are still good.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "keys_list", tag = "keys",
    responses((status = 200, body = serde_json::Value, description = "A JSON Web Key Set.")))]
async fn jwks(State(app): State<App>) -> impl IntoResponse {
    let cache = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    ([(header::CACHE_CONTROL, cache)], Json(app.keys.jwks()))
}

async fn list(State(operated): State<Operated>) -> Json<Listed> {
    Json(listed(&operated.keys))
}

async fn rotate(
    State(Operated { keys, lead }): State<Operated>,
    Actor(actor): Actor,
    Query(rotation): Query<Rotation>,
) -> Result<Json<Listed>, Problem> {
    match rotation {
        Rotation {
            emergency: true,
            kid,
        } => {
            tracing::warn!(actor, kid, "drops signing keys at once");
            keys.purge(kid).await?;
        }
        Rotation { kid: Some(_), .. } => {
            let text = "A key is only dropped in an emergency; a rotation retires the signer.";
            return Err(Problem::bad_request("invalid_query", text).field("kid"));
        }
        Rotation { kid: None, .. } => {
            tracing::info!(actor, "rotates the signing keys");
            keys.rotate(lead).await?;
        }
    }
    Ok(Json(listed(&keys)))
}

fn listed(keys: &Keys) -> Listed {
    let items = keys.entries().into_iter().map(Shown::from).collect();
    Listed { items }
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        Self {
            kid: entry.id,
            state: entry.role.as_str(),
            signs_from: entry.signs_from,
            kept_until: entry.kept_until,
        }
    }
}
