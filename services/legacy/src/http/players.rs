//! What a player has reached: stats and badges.

use achievement::domain::BADGES;
use axum::{Router, extract::State, routing::get};
use chassis::{http::Json, identity::Caller};
use contracts::http::{Badge, Items, Stats, UnlockedBadge};

use super::App;
use crate::{error::Error, store::players};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/stats/me", get(stats))
        .route("/api/achievements", get(catalogue))
        .route("/api/achievements/me", get(unlocked))
}

async fn stats(State(app): State<App>, caller: Caller) -> Result<Json<Stats>, Error> {
    Ok(Json(
        players::stats(&app.db, caller.user_id).await?.to_body(),
    ))
}

async fn catalogue() -> Json<Items<Badge>> {
    let items = BADGES.iter().map(|rule| Badge {
        id: rule.badge.id.as_str().to_owned(),
        name: rule.badge.name.to_owned(),
        description: rule.badge.description.to_owned(),
    });
    Json(Items {
        items: items.collect(),
    })
}

async fn unlocked(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Items<UnlockedBadge>>, Error> {
    let held = players::unlocked(&app.db, caller.user_id).await?;
    let items = held.into_iter().map(|held| {
        let badge = achievement::domain::badge(&held.badge_id);
        UnlockedBadge {
            // A badge of another version is still the player's.
            name: badge.map_or_else(|| held.badge_id.clone(), |badge| badge.name.to_owned()),
            description: badge.map_or_else(String::new, |badge| badge.description.to_owned()),
            unlocked_at: held.unlocked_at.to_string(),
            id: held.badge_id,
        }
    });
    Ok(Json(Items {
        items: items.collect(),
    }))
}
