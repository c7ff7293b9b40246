//! The public API: the catalogue of badges, and the caller's own.

use axum::extract::{FromRef, State};
use chassis::{
    Problem,
    http::Json,
    identity::{Caller, Verifier},
};
use contracts::http::{Badge, Items, UnlockedBadge};
use database::Database;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{self, BADGES},
    store::{self, Unlocked},
};

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    /// The service's database.
    pub db: Database,
    /// Checks access tokens.
    pub verifier: Verifier,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

/// The public paths.
pub fn router(api: Api) -> OpenApiRouter {
    routes().with_state(api)
}

/// What this service documents; legacy answers the same paths.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(catalogue))
        .routes(routes!(mine))
}

/// All badges there are to earn.
#[utoipa::path(get, path = "/api/achievements", operation_id = "achievements_list",
    tag = "achievements",
    responses((status = 200, body = Items<Badge>, description = "The catalogue, easiest first.")))]
async fn catalogue() -> Json<Items<Badge>> {
    let items = BADGES
        .iter()
        .map(|rule| Badge {
            id: rule.badge.id.to_string(),
            name: rule.badge.name.to_owned(),
            description: rule.badge.description.to_owned(),
        })
        .collect();
    Json(Items { items })
}

/// The caller's own badges, oldest first. Those of an undecided answer are not among them.
#[utoipa::path(get, path = "/api/achievements/me", operation_id = "achievements_mine",
    tag = "achievements", security(("bearer" = [])),
    responses((status = 200, body = Items<UnlockedBadge>, description = "What is unlocked.")))]
async fn mine(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<Items<UnlockedBadge>>, Problem> {
    let unlocked = store::unlocked(&api.db, caller.user_id).await?;
    Ok(Json(Items {
        items: unlocked.into_iter().filter_map(shown).collect(),
    }))
}

/// A badge that this version does not know has no name to show; it stays with its player.
fn shown(unlocked: Unlocked) -> Option<UnlockedBadge> {
    let badge = domain::badge(&unlocked.badge_id)?;
    Some(UnlockedBadge {
        id: unlocked.badge_id,
        name: badge.name.to_owned(),
        description: badge.description.to_owned(),
        unlocked_at: unlocked.unlocked_at.to_string(),
    })
}
